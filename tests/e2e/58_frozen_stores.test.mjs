// Redis and PostgreSQL that are frozen, not dead: connections hang instead of breaking. Under load no request waits for
// them, nothing is overspent, and everything is as before once they go on. TIDEGATE_FREEZE_S sets for how long (5; the proof
// has 60), TIDEGATE_RATE how many requests a second (20).
//
// A wait is the time from when a request was due to the first byte of its answer. Bounds are for the Release build; with
// sanitizers they are four times as large (pace.mjs), and short runs look at p99 instead of p99.9.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Fleet, kSim } from './fleet.mjs';
import { isServed, kSlowness, Pace } from './pace.mjs';
import { pico, stack, until, wallet } from './stack.mjs';
import { customer } from './tenants.mjs';
import { family, kill, pidOf } from './victims.mjs';
import { now, quantile } from './wire.mjs';

const kFreezeS = Number(process.env.TIDEGATE_FREEZE_S ?? 5);
const kPerSecond = Number(process.env.TIDEGATE_RATE ?? 20);
/** What it is compared with: as long in a proof, a glance in a short run. */
const kCalmS = kFreezeS > 10 ? kFreezeS : 2;
const kMoreWaitMs = 50 * kSlowness;
const kShare = kFreezeS * kPerSecond >= 1000 ? 0.999 : 0.99;
const kRecoveryMs = 10_000 * kSlowness;
/** A lease is good for a minute, and is renewed when half of it is over: the least that a frozen PostgreSQL leaves. */
const kLeaseS = 25;
/** How long PostgreSQL stands still for clients whose lease ends meanwhile. */
const kSpentS = Math.min(kFreezeS, kFreezeS > 10 ? 10 : 4);
/** How long a request waits for a lease before it is refused. */
const kLeaseWaitMs = 2000;

let fleet;
before(async () => {
  fleet = await Fleet.start('stores', { sequences: 64, options: { 'sim.step_ms': 10, 'sim.prefill_tokens_per_s': 1_000_000, 'sim.reasoning_tokens': 0, 'sim.content_tokens': 10 } });
});
after(() => fleet?.stop());

const ask = (extra = {}) => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], ...extra });

/** Runs `during` while the process and all its children stand still; they go on whatever happens. */
async function whileFrozen(name, during) {
  const pids = await until(`${name} and its children`, 30, async () => family(await pidOf(name)));
  for (const pid of pids) kill(pid, 'SIGSTOP');
  try {
    return await during();
  } finally {
    for (const pid of [...pids].reverse()) kill(pid, 'SIGCONT');
  }
}

const waits = (samples) => samples.filter(isServed).map(({ wait }) => wait);
const told = (samples) => `p50 ${quantile(waits(samples), 0.5).toFixed(1)}, p${kShare * 100} ${quantile(waits(samples), kShare).toFixed(1)}, longest ${Math.max(...waits(samples)).toFixed(1)} ms`;

function assertNobodyWaited(name, calm, frozen) {
  const more = quantile(waits(frozen), kShare) - quantile(waits(calm), kShare);
  console.log(`${name} frozen for ${kFreezeS} s at ${kPerSecond}/s: before ${told(calm)}; while frozen ${told(frozen)} (${frozen.length} requests)`);
  assert.ok(more <= kMoreWaitMs, `p${kShare * 100} grew by ${more.toFixed(1)} ms; at most ${kMoreWaitMs}`);
}

/** Requests are served again, within the bound, without anybody's hand; resolves to the milliseconds it took. */
async function recovered(pace, thawedAt) {
  await until('requests to be served again', kRecoveryMs / 1000, () => pace.samples.some((sample) => sample.dueAt > thawedAt && isServed(sample)));
  return now() - thawedAt;
}

async function proved(name, pace, thawedAt) {
  const back = await recovered(pace, thawedAt);
  await pace.stop();
  // The stores work for everybody else, too.
  const other = await until('administrators to be served', 3 * kRecoveryMs / 1000, () => customer('afterwards', { credit: '1' }));
  const asking = () => fetch(`${stack.baseUrl}/models`, { headers: { Authorization: `Bearer ${other.secret}` } });
  assert.equal((await asking()).status, 200);
  console.log(`${name}: served again after ${back.toFixed(0)} ms; ${await pace.prove()}`);
  assert.ok(pico((await wallet(pace.tenant)).balance) >= 0n);
}

test(`Redis frozen for ${kFreezeS} s holds nobody up`, async () => {
  const pace = await Pace.start({ name: 'redis', credit: '50', perSecond: kPerSecond, body: () => ask({ max_tokens: 20 }), limits: ['--rpm', '1000000', '--tpm', '1000000000', '--concurrency', '1000'] });
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const calm = await pace.window(kCalmS);
    const frozen = await whileFrozen('redis', () => pace.window(kFreezeS));
    const thawedAt = now();
    assert.deepEqual(frozen.filter((sample) => !isServed(sample)), [], 'refused while Redis was frozen');
    assertNobodyWaited('Redis', calm, frozen);
    await proved('Redis', pace, thawedAt);
  } finally {
    await pace.stop();
  }
});

test(`PostgreSQL frozen for ${kFreezeS} s holds nobody up while there is money in the lease`, async () => {
  // Clients that name no max_tokens: a lease of theirs is many times what they spend.
  const pace = await Pace.start({ name: 'postgres', credit: '50', perSecond: kPerSecond, body: () => ask() });
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const calm = await pace.window(kCalmS);
    const began = now();
    const all = await whileFrozen('postgres', () => pace.window(kFreezeS));
    const thawedAt = now();
    const refused = all.filter((sample) => !isServed(sample));
    const end = Math.min(...refused.map(({ dueAt }) => dueAt), Infinity);
    assertNobodyWaited('PostgreSQL', calm, all.filter(({ dueAt }) => dueAt < end));
    if (refused.length > 0) {
      console.log(`the lease ended after ${((end - began) / 1000).toFixed(1)} s; then ${refused.length} refusals`);
      assert.ok(end - began >= kLeaseS * 1000, `refused after ${((end - began) / 1000).toFixed(1)} s: ${JSON.stringify(refused[0])}`);
      assertHonest(refused);
    }
    await proved('PostgreSQL', pace, thawedAt);
  } finally {
    await pace.stop();
  }
});

/** Ours, not the customer's: 503 with a time to come back, and soon. */
function assertHonest(refused) {
  for (const sample of refused) {
    assert.equal(sample.status, 503, JSON.stringify(sample));
    assert.equal(sample.code, 'billing_unreachable', JSON.stringify(sample));
    assert.ok(Number.isInteger(sample.retryAfter) && sample.retryAfter >= 1, JSON.stringify(sample));
    assert.ok(sample.took <= kLeaseWaitMs + 500 * kSlowness, JSON.stringify(sample));
  }
}

test('PostgreSQL frozen until the lease is spent refuses honestly, and never as if the customer had no money', async () => {
  // Clients that name exactly what they use: their lease is two seconds of it.
  const pace = await Pace.start({ name: 'spent', credit: '50', perSecond: kPerSecond, body: () => ask({ max_tokens: 10 }) });
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5 * kPerSecond / 4);
    const began = now();
    const all = await whileFrozen('postgres', () => pace.window(kSpentS));
    const thawedAt = now();
    const refused = all.filter((sample) => !isServed(sample));
    const served = refused.length === 0 ? kSpentS : (Math.min(...refused.map(({ dueAt }) => dueAt)) - began) / 1000;
    console.log(`PostgreSQL frozen for ${kSpentS} s under clients that hold what they spend: served for ${served.toFixed(1)} s, ${all.length - refused.length} answers, ${refused.length} refusals`);
    assertHonest(refused);
    await proved('PostgreSQL, lease spent', pace, thawedAt);
  } finally {
    await pace.stop();
  }
});
