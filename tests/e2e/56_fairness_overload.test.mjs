// Ten times the load that a pool can take: how much useful work is left, how soon the rest is refused, and whether
// Retry-After was worth waiting for. (One tenant among others: 56_fair_share.)
// TIDEGATE_OVERLOAD_S sets how long the overload lasts (3; a proof has 60).
//
// Bounds. In a proof (TIDEGATE_FAIR_S of 60 and more) 95 % of those that waited as long as they were told are let in; a short
// run asks for 80 %. Milliseconds are for the Release build; with sanitizers any process may stand still for a while
// (`bound`): the queue is more patient then, and what is counted is looked at for longer.
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import test, { after, before } from 'node:test';
import { Fleet, kSim } from './fleet.mjs';
import { Gateway } from './gateways.mjs';
import { isServed, Pace, pause } from './pace.mjs';
import { bound, kSlowness, kStallMs, stack, until } from './stack.mjs';
import { customer, known } from './tenants.mjs';
import { exchange, jsonOf, keptAgent, now, quantile } from './wire.mjs';

const kFairS = Number(process.env.TIDEGATE_FAIR_S ?? 4);
const kOverloadS = Number(process.env.TIDEGATE_OVERLOAD_S ?? (kSlowness > 1 ? 6 : 3));
const isProof = kFairS >= 60;

// A pool of eight places. An answer of 30 words takes 0.3 s; a prompt is read at 2000 tokens a second.
const kPlaces = 8;
const kWords = 30;
const kReadPerS = 2000;

const kQueueWaitMs = 2000 + kStallMs;
const kQueue = 32;
let fleet;
let tight; // a gateway whose queue is short, with one thread and so with one queue
before(async () => {
  tight = await Gateway.start('gateway-tight', { 'limits.queue_wait_ms': kQueueWaitMs, 'limits.queue_length': kQueue, 'io.threads': 1 });
  fleet = await Fleet.start('crowd', {
    sequences: kPlaces, gateways: [stack.baseUrl, tight.baseUrl],
    options: { 'sim.step_ms': 10, 'sim.prefill_tokens_per_s': kReadPerS, 'sim.reasoning_tokens': 0, 'sim.content_tokens': kWords },
  });
});
after(async () => {
  await fleet?.stop();
  await tight?.stop();
});

const ask = (extra = {}) => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: kWords, ...extra });

/** A tenant that keeps `count` requests open, whatever happens to them. */
class Crowd {
  served = 0;
  refused = 0;
  #leaving = new AbortController();

  constructor(secret, url, count, body) {
    setMaxListeners(0, this.#leaving.signal); // every request under way listens to it
    Object.assign(this, { secret, url, body, agent: keptAgent() });
    this.loops = Array.from({ length: count }, () => this.#press());
  }

  async #press() {
    while (!this.#leaving.signal.aborted) {
      const seen = await exchange(this.url, { key: this.secret, body: this.body(), agent: this.agent, signal: this.#leaving.signal });
      if (seen.status === 200) this.served += 1;
      else if (!this.#leaving.signal.aborted) {
        this.refused += 1;
        await pause(100);
      }
    }
  }

  async leave() {
    this.#leaving.abort();
    await Promise.all(this.loops);
    this.agent.destroy();
  }
}

/** Requests a second that the pool finishes when it always has something to do. */
async function peak(secret, seconds) {
  const crowd = new Crowd(secret, `${tight.baseUrl}/chat/completions`, 2 * kPlaces, () => ask());
  try {
    await until('the pool to be busy', 20, () => crowd.served >= kPlaces);
    const [from, served] = [now(), crowd.served];
    await pause(seconds * 1000);
    await until('more of it', 20, () => crowd.served - served >= 20 * seconds); // it finishes 24 a second
    return (crowd.served - served) * 1000 / (now() - from);
  } finally {
    await crowd.leave();
  }
}

/** Refusals of a gateway without room: 503 with whole seconds to wait. After much was promised that may be long. */
function assertHonest(sample) {
  assert.ok(sample.status === 503 || sample.status === 429, JSON.stringify(sample));
  assert.ok(Number.isInteger(sample.retryAfter) && sample.retryAfter >= 1 && sample.retryAfter <= 3_600, JSON.stringify(sample));
}

// Before the flood, which leaves promises to many who never come back.
test('who waits as long as Retry-After says is let in', async () => {
  const { secret } = await customer('patient', { credit: '100' });
  await known(secret, tight.baseUrl);
  await peak(secret, 1); // so that the gateway knows how fast its pool is
  const agent = keptAgent();
  const once = () => exchange(`${tight.baseUrl}/chat/completions`, { key: secret, body: ask(), agent, signal: AbortSignal.timeout(60_000) });
  const rounds = isProof ? 10 : 1;
  let [waited, admitted] = [0, 0];
  const told = [];
  for (let round = 0; round < rounds; ++round) {
    // Half a queue more than there is room for.
    await Promise.all(Array.from({ length: kPlaces + kQueue + kQueue / 2 }, async () => {
      const first = await once();
      if (first.status === 200) return;
      const retryAfter = Number(first.headers['retry-after']);
      assertHonest({ status: first.status, retryAfter, code: jsonOf(first)?.error?.code });
      told.push(retryAfter);
      await pause(retryAfter * 1000);
      waited += 1;
      if ((await once()).status === 200) admitted += 1;
    }));
  }
  agent.destroy();
  console.log(`${waited} were refused, told to wait ${Math.min(...told)} to ${Math.max(...told)} s, and did: ${admitted} of them were let in`);
  assert.ok(waited > 0, 'nobody was refused: nothing was shown');
  assert.ok(admitted >= waited * (isProof ? 0.95 : kSlowness > 1 ? 0.5 : 0.8), `${admitted} of ${waited}`);
});

test('at ten times the load the useful work stays, the rest is refused at once, and all is well when it ends', async () => {
  const { secret } = await customer('tenfold', { credit: '100' });
  await known(secret, tight.baseUrl);
  const best = await peak(secret, Math.max(2, kOverloadS / 4));
  const pace = await Pace.start({ name: 'flood', credit: '200', perSecond: 10 * best, body: () => ask(), baseUrl: tight.baseUrl, gateways: [tight.baseUrl] });
  let samples;
  const from = now();
  try {
    samples = await pace.window(kOverloadS);
  } finally {
    await pace.stop();
  }
  const overAt = now();
  const inTime = samples.filter((sample) => isServed(sample) && sample.dueAt + sample.took <= from + kOverloadS * 1000);
  const goodput = inTime.length / kOverloadS;
  const refused = samples.filter((sample) => !isServed(sample));
  const quick = refused.filter(({ took }) => took < kQueueWaitMs / 2);
  const waits = samples.filter(isServed).map(({ wait }) => wait);
  const line = `${(10 * best).toFixed(0)} requests a second on a pool that takes ${best.toFixed(1)}: ${goodput.toFixed(1)} a second finished (${(100 * goodput / best).toFixed(0)} %), ` +
    `${refused.length} refused (p50 ${quantile(quick.map(({ took }) => took), 0.5).toFixed(1)}, p99 ${quantile(quick.map(({ took }) => took), 0.99).toFixed(1)} ms; ${refused.length - quick.length} after a wait), ` +
    `time to first token of the others p99 ${quantile(waits, 0.99).toFixed(0)} ms`;
  console.log(line);
  for (const sample of refused) assertHonest(sample);
  assert.ok(refused.length > samples.length / 2, 'most of it cannot be served');
  // The queue is empty at the start of a short run and answers take 0.3 s: a part of it is filling up.
  assert.ok(goodput >= best * (isProof ? 0.9 : kSlowness > 1 ? 0.25 : 0.7), line);
  assert.ok(refused.length - quick.length <= refused.length / 10, line);
  assert.ok(quantile(quick.map(({ took }) => took), 0.99) <= bound(50), line);
  assert.ok(quantile(waits, 0.99) <= kQueueWaitMs + bound(500), line);

  await until('an answer without a wait', 10, async () => {
    const seen = await exchange(`${tight.baseUrl}/chat/completions`, { key: secret, body: ask({ stream: true, max_tokens: 4 }) });
    return seen.status === 200 && seen.firstAt - seen.sentAt < bound(100);
  });
  console.log(`without a wait again ${((now() - overAt) / 1000).toFixed(1)} s after the overload; ${await pace.prove()}`);
});
