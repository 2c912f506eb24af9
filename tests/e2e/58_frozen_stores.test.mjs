// Redis and PostgreSQL that are frozen, not dead: connections hang instead of breaking. Under load no request waits for
// them, nor while they come back; nothing is overspent, and everything is as before once they go on. TIDEGATE_FREEZE_S sets
// for how long (5; the proof has 60), TIDEGATE_RATE how many requests a second (20).
//
// A wait is the time from when a request was due to the first byte of its answer. Bounds are for the Release build; with
// sanitizers they are larger (`bound` in stack.mjs), and still below the time that it is frozen. Short runs look at p99
// instead of p99.9.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Fleet, kSim } from './fleet.mjs';
import { isServed, Pace } from './pace.mjs';
import { bound, pico, stack, until, wallet } from './stack.mjs';
import { customer, leased } from './tenants.mjs';
import { family, kill, pidOf } from './victims.mjs';
import { exchange, jsonOf, now, quantile } from './wire.mjs';

const kFreezeS = Number(process.env.TIDEGATE_FREEZE_S ?? 5);
const kPerSecond = Number(process.env.TIDEGATE_RATE ?? 20);
/** What it is compared with: as long in a proof, a glance in a short run. */
const kCalmS = kFreezeS > 10 ? kFreezeS : 2;
const kMoreWaitMs = bound(50);
const kShare = kFreezeS * kPerSecond >= 1000 ? 0.999 : 0.99;
const kRecoveryS = 10;
/** For how long leases are kept (leases.horizon_ms of the gateway): more than this is not promised. */
const kHorizonS = 75;
/** Watched after the thaw: what piled up, a scheduler's new term, connections made anew. */
const kAfterS = 5;
/** How long PostgreSQL stands still for a wallet that is too small to be kept for so long: it lasts six seconds. */
const kSpentS = 10;
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

/** Nobody was refused, and nobody waited longer than before: while it stood still, and while it came back. */
function assertNobodyNoticed(name, { calm, frozen, after }) {
  console.log(`${name} frozen for ${kFreezeS} s: before ${told(calm)}; while frozen ${told(frozen)} (${frozen.length} requests); afterwards ${told(after)}`);
  for (const [when, samples] of [['while it was frozen', frozen], ['afterwards', after]]) {
    assert.deepEqual(samples.filter((sample) => !isServed(sample)).slice(0, 3), [], `${name}: refused ${when}`);
    const share = samples.length >= 1000 ? kShare : 0.99;
    const more = quantile(waits(samples), share) - quantile(waits(calm), share);
    assert.ok(more <= kMoreWaitMs, `${name}: p${share * 100} grew by ${more.toFixed(1)} ms ${when}; at most ${kMoreWaitMs}`);
  }
}

/** What a request costs, in pico-units. */
async function costOf(body) {
  const { secret } = await customer('price', { credit: '1' });
  await leased(secret, body);
  const said = jsonOf(await exchange(`${stack.baseUrl}/chat/completions`, { key: secret, body }));
  return pico(said.usage.cost_details.amount);
}

const decimal = (amount) => `${amount / 10n ** 12n}.${String(amount % 10n ** 12n).padStart(12, '0')}`;

/** Requests are served again, within the bound, without anybody's hand; resolves to the milliseconds it took. */
async function recovered(pace, thawedAt) {
  const first = await until('requests to be served again', kRecoveryS, () => pace.samples.find((sample) => sample.dueAt > thawedAt && isServed(sample)));
  return first.dueAt + first.took - thawedAt;
}

/** Of all that ran beside each other: books are closed when nobody asks any more. */
async function proved(paces, thawedAt) {
  const back = {};
  for (const [name, pace] of Object.entries(paces)) back[name] = await recovered(pace, thawedAt);
  await Promise.all(Object.values(paces).map((pace) => pace.stop()));
  // The stores work for everybody else, too.
  const other = await until('administrators to be served', 3 * kRecoveryS, () => customer('afterwards', { credit: '1' }));
  const asking = () => fetch(`${stack.baseUrl}/models`, { headers: { Authorization: `Bearer ${other.secret}` } });
  assert.equal((await asking()).status, 200);
  for (const [name, pace] of Object.entries(paces)) {
    console.log(`${name}: served again after ${back[name].toFixed(0)} ms; ${await pace.prove()}`);
    assert.ok(pico((await wallet(pace.tenant)).balance) >= 0n);
  }
}

test(`Redis frozen for ${kFreezeS} s holds nobody up`, async () => {
  const pace = await Pace.start({ name: 'redis', credit: '50', perSecond: kPerSecond, body: () => ask({ max_tokens: 20 }), limits: ['--rpm', '1000000', '--tpm', '1000000000', '--concurrency', '1000'] });
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const calm = await pace.window(kCalmS);
    const frozen = await whileFrozen('redis', () => pace.window(kFreezeS));
    const thawedAt = now();
    const after = await pace.window(kAfterS);
    assertNobodyNoticed('Redis', { calm, frozen, after });
    await proved({ Redis: pace }, thawedAt);
  } finally {
    await pace.stop();
  }
});

test(`PostgreSQL frozen for ${kFreezeS} s holds nobody up`, async () => {
  assert.ok(kFreezeS < kHorizonS, `leases are kept for ${kHorizonS} s`);
  // One who names no max_tokens and so holds many times what it spends, one who holds nothing more, and one who asks seldom.
  const kinds = {
    PostgreSQL: { name: 'postgres', perSecond: kPerSecond, body: () => ask() },
    'PostgreSQL, exact holds': { name: 'exact', perSecond: Math.max(2, kPerSecond / 4), body: () => ask({ max_tokens: 10 }) },
    'PostgreSQL, seldom': { name: 'seldom', perSecond: 0.2, body: () => ask() },
  };
  const paces = [];
  try {
    for (const kind of Object.values(kinds)) paces.push(await Pace.start({ credit: '50', ...kind }));
    const each = (during) => Promise.all(paces.map(during));
    await until('the first answers', 20, () => paces.every(({ finished, perSecond }) => finished.size >= Math.min(5, perSecond)));
    const calm = await each((pace) => pace.window(kCalmS));
    const frozen = await whileFrozen('postgres', () => each((pace) => pace.window(kFreezeS)));
    const thawedAt = now();
    const after = await each((pace) => pace.window(kAfterS));
    for (const [i, name] of Object.keys(kinds).entries()) {
      if (paces[i].perSecond >= 1) {
        assertNobodyNoticed(name, { calm: calm[i], frozen: frozen[i], after: after[i] });
      } else {  // too few for a share of them
        assert.deepEqual([...frozen[i], ...after[i]].filter((sample) => !isServed(sample)), [], `${name}: refused`);
      }
    }
    await proved(Object.fromEntries(Object.keys(kinds).map((name, i) => [name, paces[i]])), thawedAt);
  } finally {
    await Promise.all(paces.map((pace) => pace.stop()));
  }
});

/** Ours, not the customer's: 503 with a time to come back, and soon. */
function assertHonest(refused) {
  for (const sample of refused) {
    assert.equal(sample.status, 503, JSON.stringify(sample));
    assert.equal(sample.code, 'billing_unreachable', JSON.stringify(sample));
    assert.ok(Number.isInteger(sample.retryAfter) && sample.retryAfter >= 1, JSON.stringify(sample));
    assert.ok(sample.took <= kLeaseWaitMs + bound(500), JSON.stringify(sample));
  }
}

test('PostgreSQL frozen until the lease of a small wallet is spent refuses honestly, and never as if there were no money', async () => {
  // Of a wallet an eighth is kept at most, beside two seconds of holds: here for six seconds or so.
  const body = () => ask({ max_tokens: 10 });
  const worth = BigInt(20 * kPerSecond);
  const pace = await Pace.start({ name: 'spent', credit: decimal((await costOf(body())) * worth), perSecond: kPerSecond, body });
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5 * kPerSecond / 4);
    const began = now();
    const all = await whileFrozen('postgres', () => pace.window(kSpentS));
    const thawedAt = now();
    const refused = all.filter((sample) => !isServed(sample));
    assert.ok(refused.length > 0, 'nobody was refused: this proves nothing');
    const served = (Math.min(...refused.map(({ dueAt }) => dueAt)) - began) / 1000;
    console.log(`PostgreSQL frozen for ${kSpentS} s under a wallet worth ${worth} requests: served for ${served.toFixed(1)} s, ${all.length - refused.length} answers, ${refused.length} refusals`);
    assertHonest(refused);
    await proved({ 'PostgreSQL, lease spent': pace }, thawedAt);
  } finally {
    await pace.stop();
  }
});
