// kill -9 of every process at random points under load: everything comes back, no finished request is missing or
// billed twice, and the books still balance. TIDEGATE_KILLS sets how often each process dies (20), TIDEGATE_SEED
// replays a run.
import test from 'node:test';
import { Load, random } from './load.mjs';
import { kill, pidOf, reborn } from './victims.mjs';

const kKills = Number(process.env.TIDEGATE_KILLS ?? 20);
const kVictims = ['gateway', 'worker', 'billing', 'postgres'];
const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1e6);

test(`kill -9 of ${kVictims.join(', ')}, ${kKills} times each, under load`, async () => {
  console.log(`seed ${seed}`);
  const next = random(seed);
  const load = await Load.start({ name: 'crash', credit: '50', clients: 12, next });
  await load.progress(10);
  const order = kVictims.flatMap((name) => Array(kKills).fill(name));
  for (let i = order.length - 1; i > 0; --i) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  let kills = 0;
  try {
    for (const name of order) {
      const pid = await pidOf(name);
      await load.progress(1 + Math.floor(next() * 8));
      if (kill(pid)) kills += 1;
      await reborn(name, pid);
      await load.progress(2);
    }
  } finally {
    await load.stop();
  }
  console.log(`${kills} kills (${kKills} each of ${kVictims.join(', ')}): ${await load.prove()}`);
});
