// Everything that breaks in a year, in one hour: kills, freezes, a database that is away for a minute, an emptied Redis,
// a full journal disk, batches that come twice or late, lost answers, cut connections. TIDEGATE_FAULTS sets how many
// (24; from 20 on each kind is among them), TIDEGATE_CLIENTS the load (12), TIDEGATE_SEED replays a run.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Cable } from './cable.mjs';
import { Load, random } from './load.mjs';
import { stack, until } from './stack.mjs';
import { family, kill, pidOf, reborn } from './victims.mjs';

const kFaults = Number(process.env.TIDEGATE_FAULTS ?? 24);
const kClients = Number(process.env.TIDEGATE_CLIENTS ?? 12);
const kLongOutages = kFaults >= 200 ? 3 : 0; // PostgreSQL frozen for a minute
const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1e6);
const next = random(seed);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function killed(name) {
  const pid = await pidOf(name);
  kill(pid);
  await reborn(name, pid);
}

/** Alive but deaf: connections hang instead of breaking. */
async function frozen(name, ms) {
  const pids = await until(`${name} and its children`, 30, async () => family(await pidOf(name)));
  for (const pid of pids) kill(pid, 'SIGSTOP');
  await pause(ms);
  for (const pid of pids.reverse()) kill(pid, 'SIGCONT');
}

/** The gateway talks to billing through a cable of this test's; it learns so by dying. */
let cable;
const conf = path.join(stack.folder, 'conf', 'gateway.conf');
const socket = (name) => path.join(process.env.TIDEGATE_SOCKETS, `${name}.sock`);
async function rewire(from, to) {
  fs.writeFileSync(conf, fs.readFileSync(conf, 'utf8').replace(`billing.address = unix:${socket(from)}`, `billing.address = unix:${socket(to)}`));
  await killed('gateway');
}
before(async () => {
  cable = await Cable.open(socket('cable'), socket('billing'));
  await rewire('billing', 'cable');
});
after(async () => {
  await rewire('cable', 'billing');
  cable.close();
});

/** The next few batches of usage meet it. */
async function disturbed(kind) {
  const count = 1 + Math.floor(next() * 3);
  const goal = cable.happened[kind] + count;
  cable.disturb(kind, count);
  await until(`${kind} batches`, 60, () => cable.happened[kind] >= goal);
}

function redis(...words) {
  execFileSync('redis-cli', ['-s', path.join(process.env.TIDEGATE_SOCKETS, 'redis.sock'), ...words], { stdio: 'ignore' });
}

/** The journal's disk has no byte left: the gateway must stop admitting or die, and lose nothing. */
async function journalDiskFull() {
  const filler = path.join(stack.folder, 'journal', 'filler');
  const file = fs.openSync(filler, 'w');
  try {
    for (const size of [1 << 20, 4096, 1]) {
      const block = Buffer.alloc(size);
      for (;;) {
        try {
          if (fs.writeSync(file, block) < size) break;
        } catch (error) {
          if (error.code === 'ENOSPC') break;
          throw error;
        }
      }
    }
    await pause(200 + next() * 1500);
  } finally {
    fs.closeSync(file);
    fs.unlinkSync(filler);
  }
}

const kinds = {
  'kill gateway': [8, () => killed('gateway')],
  'kill worker': [8, () => killed('worker')],
  'kill billing': [8, () => killed('billing')],
  'kill postgres': [6, () => killed('postgres')],
  'kill scheduler': [4, () => killed('scheduler')],
  'kill redis': [2, () => killed('redis')],
  'freeze gateway': [2, () => frozen('gateway', 100 + next() * 2000)],
  'freeze worker': [3, () => frozen('worker', 100 + next() * 2000)],
  'freeze billing': [4, () => frozen('billing', 100 + next() * 3000)],
  'freeze postgres': [4, () => frozen('postgres', 100 + next() * 3000)],
  'freeze redis': [2, () => frozen('redis', 100 + next() * 2000)],
  'flush redis': [2, async () => redis('flushall')],
  'batches twice': [4, () => disturbed('duplicate')],
  'old batches after newer ones': [4, () => disturbed('stale')],
  'answers to batches lost': [4, () => disturbed('lost')],
  'connections cut': [4, async () => cable.cut()],
  'kill gateway and billing': [3, () => Promise.all([killed('gateway'), killed('billing')])],
  'kill billing and postgres': [3, () => Promise.all([killed('billing'), killed('postgres')])],
};
// A disk of its own is mounted for the journal only where tests may mount.
if (process.env.TIDEGATE_JOURNAL_DISK) kinds['journal disk full'] = [4, journalDiskFull];
const kLong = 'postgres away for 60 s';

test(`${kFaults} faults under load`, async () => {
  console.log(`seed ${seed}; ${kinds['journal disk full'] ? 'the journal has a disk of its own' : 'no right to mount: no full disk'}`);
  const load = await Load.start({ name: 'fault', credit: '500', clients: kClients, next });
  await load.progress(10);
  // Each kind once, then by weight.
  const names = Object.keys(kinds);
  const total = names.reduce((sum, name) => sum + kinds[name][0], 0);
  const draw = () => {
    let left = next() * total;
    return names.find((name) => (left -= kinds[name][0]) < 0) ?? names[0];
  };
  const plan = [...names, ...Array.from({ length: kFaults }, draw)].slice(0, kFaults - kLongOutages);
  for (let i = 0; i < kLongOutages; ++i) plan.splice(Math.floor(next() * plan.length), 0, kLong);
  const counts = new Map();
  try {
    for (const [index, name] of plan.entries()) {
      await load.progress(1 + Math.floor(next() * 6));
      if (name === kLong) await frozen('postgres', 60_000);
      else await kinds[name][1]();
      counts.set(name, (counts.get(name) ?? 0) + 1);
      await load.progress(1);
      if ((index + 1) % 100 === 0) console.log(`${index + 1} faults, ${load.finished.size} requests finished`);
    }
  } finally {
    await load.stop();
  }
  const list = [...counts].map(([name, count]) => `${count} x ${name}`).join(', ');
  const batches = Object.entries(cable.happened).map(([kind, count]) => `${count} ${kind}`).join(', ');
  console.log(`${plan.length} faults (${list}; on the cable: ${batches}): ${await load.prove()}`);
});
