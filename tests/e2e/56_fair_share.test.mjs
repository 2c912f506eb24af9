// Four tenants on one pool, open loop: three that ask for half of their share each, and one that asks for its share, then for
// nothing, then for a hundred times its share. What the three notice, and whether the counters stayed within their bound.
//
// What is compared. The claim is that a tenant that asks for more than its share does no more to the others than one that
// asks for its share. So 100x is held against 1x, and that decides. What the pool is like with the tenant away is measured and
// printed beside it: the difference between that and 1x is what the tenant is entitled to, which no queue could keep from it.
//
// The neighbour is no straw man: prompts and answers of the same lengths as the others', drawn from the same distribution, as
// many at once as come, none of them waited for. The others' requests are the same in all three parts, to the instant, the
// tenant and the byte: what differs is the neighbour's doing. What they wait is counted from the instant a request was due to
// the first bytes of its answer's text at the client; who is refused has no first token and fails the test.
//
// The pool. Workers of the simulated engine, each with a batch of places and one line of prompts which it reads one after the
// other, and with the credits beyond its batch that workers give as they come. Answers fill the batches while prompts keep a
// worker's reader busy a quarter to a third of the time: what is scarce is places, and a first token is mostly the time that
// one's own prompt takes to be read. (Where reading is what is scarce no queue holds 10 %: one line is read in one order, and the
// prompt that is being read is read to its end. gateway/README.md says that this is not promised.) A sixteenth of the
// places is headroom, so a proof has enough of them that a sixteenth is more than chance fills: with 256 places 16, while the
// others' 92 at a time vary by 10. One thread and so one queue: lanes are not fair to each other (gateway/README.md). The
// queue's length is bounded for the client's sake, which has a connection for each that waits.
//
// TIDEGATE_FAIR_S: how long each of the three parts is looked at (4; a proof has 60 and more, and 500 samples in each part).
// TIDEGATE_FAIR_TIMES: what the neighbour asks for, in shares (100). TIDEGATE_FAIR_QUIET: what each of the others asks for, in
// percent of the pool (12). TIDEGATE_FAIR_WORKERS: workers (8 in a proof, else 2). TIDEGATE_FAIR_SEED: another schedule (56).
// A proof asks for p99 within 10 %. A short run has some 20 samples of a pool whose headroom is two places, and asks for p90 within
// twice as much and half a second: a queue in the order of coming would cost two seconds. With sanitizers a worker may
// stand still for as long, and its pool then refuse for a while: that nobody starves is what is left.
import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import test, { after, before } from 'node:test';
import { Fleet, kSim } from './fleet.mjs';
import { Gateway } from './gateways.mjs';
import { random } from './load.mjs';
import { pause } from './pace.mjs';
import { bound, kSlowness, until } from './stack.mjs';
import { customer, known } from './tenants.mjs';
import { exchange, jsonOf, keptAgent, now, quantile } from './wire.mjs';

const kFairS = Number(process.env.TIDEGATE_FAIR_S ?? 4);
const isProof = kFairS >= 60;
const kTimes = Number(process.env.TIDEGATE_FAIR_TIMES ?? 100);
const kQuiet = Number(process.env.TIDEGATE_FAIR_QUIET ?? 12) / 100;
const kWorkers = Number(process.env.TIDEGATE_FAIR_WORKERS ?? (isProof ? 8 : 2));
const seed = Number(process.env.TIDEGATE_FAIR_SEED ?? 56);

const kOthers = 3;
const kPlaces = isProof ? 32 : 16; // of each worker
const kStepMs = isProof ? 40 : 20;
const kReadPerS = isProof ? 2500 : 5000;
const kWords = isProof ? 250 : 100; // of an answer, on average: half of it to half as many again
const kPrompt = 250; // tokens, on average: log-normal, a fifth of it to five times as many
/** What one place is taken for: the prompt is read, then a word comes with each step; two steps go by before the first. */
const kAnswerS = kPrompt / kReadPerS + (kWords + 2) * kStepMs / 1000;
const kCapacity = kWorkers * kPlaces / kAnswerS; // requests a second
const kShare = kCapacity / (kOthers + 1);
const kSettleS = 2 * kAnswerS;
const kSamplesLeast = isProof ? 500 : kSlowness > 1 ? 8 : 15;

let fleet;
let gateway;
before(async () => {
  gateway = await Gateway.start('gateway-fair', { 'io.threads': 1, 'limits.queue_length': 512 });
  fleet = await Fleet.start('fair', {
    count: kWorkers, sequences: kPlaces, gateways: [gateway.baseUrl],
    options: { 'sim.step_ms': kStepMs, 'sim.prefill_tokens_per_s': kReadPerS, 'sim.reasoning_tokens': 0, 'sim.content_tokens': 2 * kWords },
  });
});
after(async () => {
  await fleet?.stop();
  await gateway?.stop();
});

/** A length like no other's: log-normal, from two uniform numbers. */
function promptTokens(next) {
  const kSigma = 0.8;
  const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const tokens = Math.exp(Math.log(kPrompt) - kSigma ** 2 / 2 + kSigma * normal);
  return Math.min(5 * kPrompt, Math.max(kPrompt / 5, Math.round(tokens)));
}

/** A request's body. Its text begins like no other's, so that no worker is preferred for what it has read before. */
function bodyOf(next, stream) {
  const text = `${Math.floor(next() * 1e9).toString(36)} `.padEnd(4 * promptTokens(next), 'x');
  const max_tokens = Math.round(kWords * (0.5 + next()));
  return Buffer.from(JSON.stringify({ model: kSim, messages: [{ role: 'user', content: text }], max_tokens, stream }));
}

/** Calls `send()` at the times of a Poisson process until it is stopped, however late the ones before are answered. */
class Arrivals {
  #isRunning = true;
  #open = new Set();

  constructor(perSecond, next, send) {
    Object.assign(this, { perSecond, next, send });
    this.startedAt = now();
    this.due = this.startedAt + this.#gap();
    this.#tick();
  }

  #gap() {
    return -Math.log(1 - this.next()) / this.perSecond * 1000;
  }

  #tick() {
    if (!this.#isRunning) return;
    for (; this.due <= now(); this.due += this.#gap()) {
      const one = this.send(this.due).finally(() => this.#open.delete(one));
      this.#open.add(one);
    }
    setTimeout(() => this.#tick(), Math.max(0, this.due - now()));
  }

  /** No more come; resolves when what was sent has ended. */
  async stop() {
    this.#isRunning = false;
    await Promise.all([...this.#open]);
  }
}

/** The tenant whose doing is measured. */
class Neighbour {
  offered = 0;
  served = 0;
  refused = 0;
  lost = 0; // a connection that broke; the client's own kind of failure
  #leaving = new AbortController();
  #agent = keptAgent();

  constructor(secret, perSecond, next) {
    setMaxListeners(0, this.#leaving.signal); // every request under way listens to it
    this.arrivals = new Arrivals(perSecond, next, async () => {
      this.offered += 1;
      const body = bodyOf(next, false);
      const seen = await exchange(`${gateway.baseUrl}/chat/completions`, { key: secret, body, agent: this.#agent, signal: this.#leaving.signal });
      if (seen.status === 200) this.served += 1;
      else if (seen.status === 503 || seen.status === 429) this.refused += 1;
      else if (!this.#leaving.signal.aborted) {
        this.lost += 1;
        assert.equal(seen.status, 0, seen.body.toString());
      }
    });
  }

  /** Goes, and takes what it has under way along. */
  async leave() {
    this.#leaving.abort();
    await this.arrivals.stop();
    this.#agent.destroy();
  }
}

/** The others from here on, the same each time: what each request waited that was due in the window, in ms from now. */
class Others {
  times = [];
  lags = []; // how late the client itself was
  refused = [];

  constructor(tenants, agent, from, until) {
    const next = random(seed); // of what is asked
    this.arrivals = new Arrivals(kOthers * kQuiet * kCapacity, random(seed + 1), async (dueAt) => {
      const { secret } = tenants[Math.floor(next() * kOthers)];
      const body = bodyOf(next, true);
      let firstAt = NaN;
      const onPart = (part) => {
        if (Number.isNaN(firstAt) && /"content":"[^"]/.test(part.toString())) firstAt = now();
      };
      const seen = await exchange(`${gateway.baseUrl}/chat/completions`, { key: secret, body, agent, onPart, signal: AbortSignal.timeout(120_000) });
      const at = dueAt - this.arrivals.startedAt;
      if (at < from || at >= until) return;
      this.lags.push(seen.sentAt - dueAt);
      if (seen.status === 200 && seen.isWhole && !Number.isNaN(firstAt)) this.times.push(firstAt - dueAt);
      else this.refused.push(`${seen.status} ${seen.error ?? ''} ${jsonOf(seen)?.error?.message ?? ''}`);
    });
  }
}

/** Sums over the labels of these families, all of one look. */
async function metrics(...families) {
  const text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
  return families.map((family) => [...text.matchAll(new RegExp(`^${family}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0));
}
const kWaiting = 'tidegate_gateway_queue_requests';

/** Looks at the counters' gap and its bound until told to stop: the most of each, and of one over the other. */
class GapWatch {
  #isRunning = true;
  looks = 0;
  gap = 0;
  bound = 0;
  ratio = 0;
  waitingLeast = Infinity;

  constructor() {
    this.done = this.#look();
  }

  async #look() {
    while (this.#isRunning) {
      const [gap, bound, queued] = await metrics('tidegate_gateway_fairness_gap_tokens', 'tidegate_gateway_fairness_bound_tokens', kWaiting);
      this.looks += 1;
      this.gap = Math.max(this.gap, gap);
      this.bound = Math.max(this.bound, bound);
      if (bound > 0) this.ratio = Math.max(this.ratio, gap / bound);
      this.waitingLeast = Math.min(this.waitingLeast, queued);
      await pause(250);
    }
  }

  stop() {
    this.#isRunning = false;
    return this.done;
  }
}

test(`a tenant at ${kTimes} times its share does no more to the others than one at its share`, async () => {
  const others = [];
  for (let i = 0; i < kOthers; ++i) others.push(await customer('quiet', { credit: '50' }));
  const loud = await customer('loud', { credit: '500' });
  for (const { secret } of [...others, loud]) await known(secret, gateway.baseUrl);
  const agent = keptAgent();
  console.log(`${kWorkers} workers with ${kPlaces} places, an answer takes ${kAnswerS.toFixed(2)} s: ${kCapacity.toFixed(1)} requests a second. ` +
    `${kOthers} tenants at ${(100 * kQuiet).toFixed(0)} % of that each; a share is ${kShare.toFixed(1)} a second; readers are busy ` +
    `${(100 * kCapacity * kPrompt / kReadPerS / kWorkers).toFixed(0)} % of the time when all places are taken. Seed ${seed}`);

  /** One part: the neighbour at so many times its share, once the pool has settled to both. */
  const part = async (times) => {
    const neighbour = times > 0 ? new Neighbour(loud.secret, times * kShare, random(seed + 2 + times)) : null;
    let [quiet, watch] = [null, null];
    try {
      if (times > 1) await until('the neighbour to crowd the pool', 60, async () => (await metrics(kWaiting))[0] >= kPlaces);
      quiet = new Others(others, agent, 1000 * kSettleS, 1000 * (kSettleS + kFairS));
      await pause(1000 * kSettleS);
      const count = () => ['offered', 'served', 'refused', 'lost'].map((what) => neighbour?.[what] ?? 0);
      const [before, from] = [count(), now()];
      watch = new GapWatch();
      await pause(1000 * kFairS);
      const [during, seconds] = [count(), (now() - from) / 1000];
      await watch.stop();
      await quiet.arrivals.stop(); // the neighbour stays until the last of them has its answer
      const [offered, served, refused, lost] = during.map((each, i) => (each - before[i]) / seconds);
      console.log(`neighbour at ${times}x: the others' time to first token p50 ${quantile(quiet.times, 0.5).toFixed(0)}, p90 ${quantile(quiet.times, 0.9).toFixed(0)}, ` +
        `p99 ${quantile(quiet.times, 0.99).toFixed(0)}, most ${Math.max(...quiet.times).toFixed(0)} ms of ${quiet.times.length}, ${quiet.refused.length} refused; ` +
        `the client sent p99 ${quantile(quiet.lags, 0.99).toFixed(1)} ms late; of the neighbour ${offered.toFixed(1)} a second offered, ` +
        `${served.toFixed(1)} served, ${refused.toFixed(1)} refused, ${lost.toFixed(1)} lost; at least ${watch.waitingLeast} waiting; ` +
        `gap at most ${watch.gap.toFixed(0)} and bound ${watch.bound.toFixed(0)} weighted tokens in ${watch.looks} looks`);
      return { times: quiet.times, refused: quiet.refused, watch, ofNeighbour: { offered, served, refused } };
    } finally {
      await watch?.stop();
      await neighbour?.leave();
      await quiet?.arrivals.stop();
    }
  };

  const atShare = await part(1);
  const away = await part(0);
  const crowded = await part(kTimes);
  agent.destroy();

  const level = isProof ? 0.99 : 0.9;
  const of = ({ times }) => quantile(times, level);
  const more = (of(crowded) / of(atShare) - 1) * 100;
  const moreThanAway = (of(crowded) / of(away) - 1) * 100;
  const [violations] = await metrics('tidegate_gateway_fairness_violations_total');
  console.log(`p${100 * level} of the others' time to first token: ${of(atShare).toFixed(0)} ms with the neighbour at its share, ${of(away).toFixed(0)} without it, ` +
    `${of(crowded).toFixed(0)} at ${kTimes} times its share: ${more.toFixed(1)} % more than at its share (this decides), ${moreThanAway.toFixed(1)} % more than without it; ` +
    `gap at most ${(100 * crowded.watch.ratio).toFixed(1)} % of its bound, ${violations} violations`);

  for (const seen of [atShare, away, crowded]) {
    if (isProof) assert.deepEqual(seen.refused, [], 'who is below its share is never refused');
    else assert.ok(seen.refused.length <= seen.times.length / (kSlowness > 1 ? 1 : 10), seen.refused.join('; '));
    assert.ok(seen.times.length >= kSamplesLeast, `${seen.times.length} samples: too few for p${100 * level}`);
  }
  assert.ok(crowded.ofNeighbour.offered >= 0.9 * kTimes * kShare || !isProof, `the client offered ${crowded.ofNeighbour.offered} a second: too slow for this load`);
  assert.ok(crowded.watch.waitingLeast > 0 || !isProof, 'the neighbour always had somebody waiting');
  assert.ok(crowded.ofNeighbour.served > 0 || !isProof, 'the neighbour is served what the others leave');
  assert.ok(crowded.ofNeighbour.refused > 0 || !isProof, 'what is too much is refused');
  assert.ok(crowded.watch.bound > 0, 'the bound was measured');
  assert.ok(crowded.watch.ratio <= 1, `a gap of ${crowded.watch.ratio} bounds`);
  assert.equal(violations, 0);
  if (isProof) assert.ok(more <= 10, `${more.toFixed(1)} % more`);
  else assert.ok(of(crowded) <= 2 * of(atShare) + bound(500), `${of(atShare).toFixed(0)} -> ${of(crowded).toFixed(0)} ms`);
});
