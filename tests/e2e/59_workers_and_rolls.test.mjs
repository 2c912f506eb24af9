// Workers that die and gateways that are replaced, under load. A worker's kill -9 costs at most the streams that had begun
// there, which are told so; whatever had not begun finishes elsewhere. A rolling restart of all gateways costs nothing.
// TIDEGATE_WORKER_KILLS sets how often a worker dies (2; a proof has 100), TIDEGATE_ROLLS how often every gateway is replaced
// (1; a proof has 50), TIDEGATE_RATE the requests a second (20).
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Balancer } from './balancer.mjs';
import { Fleet, kSim } from './fleet.mjs';
import { Gateway } from './gateways.mjs';
import { isServed, lastWords, Pace } from './pace.mjs';
import { allUsage, bound, kSlowness, stack, until } from './stack.mjs';
import { customer, leased } from './tenants.mjs';
import { kill } from './victims.mjs';
import { exchange, jsonOf, now, quantile } from './wire.mjs';

const kKills = Number(process.env.TIDEGATE_WORKER_KILLS ?? 2);
const kRolls = Number(process.env.TIDEGATE_ROLLS ?? 1);
const kPerSecond = Number(process.env.TIDEGATE_RATE ?? 20);
const kNextSuccessMs = bound(1000);
const pick = (list, turn) => list[turn % list.length];

// Two workers that write for 400 ms, and read a long prompt slowly: half a second for a thousand tokens.
const kTokensPerSecond = 2000;
const kWaiting = 8;
let fleet;
before(async () => {
  fleet = await Fleet.start('pair', { count: 2, sequences: 64, options: { 'sim.step_ms': 10, 'sim.prefill_tokens_per_s': kTokensPerSecond, 'sim.reasoning_tokens': 0, 'sim.content_tokens': 40 } });
});
after(() => fleet?.stop());
const ask = (extra = {}) => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: 60, ...extra });

test(`kill -9 of one of two workers, ${kKills} times under load: the next success within a second`, async () => {
  const pace = await Pace.start({ name: 'killed', credit: '50', perSecond: kPerSecond, body: () => ask() });
  const nexts = [];
  let cut = 0;
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5);
    for (let round = 0; round < kKills; ++round) {
      const pid = pick(fleet.pids(), round);
      const before = pace.samples.length;
      kill(pid);
      const killedAt = now();
      await until('the next success', 20, () => pace.samples.slice(before).some((sample) => sample.dueAt > killedAt && isServed(sample)));
      const next = Math.min(...pace.samples.slice(before).filter((sample) => sample.dueAt > killedAt && isServed(sample)).map(({ dueAt, took }) => dueAt + took)) - killedAt;
      nexts.push(next);
      await until('another worker', 60, () => fleet.pids().length === 2 && !fleet.pids().includes(pid));
      await fleet.ready();
      for (const sample of (await pace.since(killedAt - 2000)).filter((each) => !isServed(each) && !each.isCounted)) {
        sample.isCounted = true;
        cut += 1;
        // It had begun: a 200 and an error in the stream. Before the first token it would have been served elsewhere.
        assert.equal(sample.status, 200, JSON.stringify(sample));
        assert.equal(sample.code, 'worker_lost', JSON.stringify(sample));
      }
    }
  } finally {
    await pace.stop();
  }
  console.log(`${kKills} times kill -9 of a worker at ${kPerSecond}/s: next success after ${nexts.map((each) => each.toFixed(0)).slice(0, 10).join(', ')} ms (worst ${Math.max(...nexts).toFixed(0)}), ` +
    `${cut} streams were cut and told so; ${await pace.prove()}`);
  assert.ok(Math.max(...nexts) <= kNextSuccessMs, `${Math.max(...nexts)} ms`);
});

test('what had not streamed a token when its worker was killed finishes elsewhere, streamed or not', async () => {
  const { name, secret } = await customer('elsewhere', { credit: '5' });
  await leased(secret, ask({ max_tokens: 1 }));
  let finished = 1; // the one before them
  for (let round = 1; ; ++round) {
    const slow = [{ role: 'user', content: String(round).repeat(4 * kTokensPerSecond / 2) }];
    const asking = Array.from({ length: kWaiting }, (_, index) => exchange(`${stack.baseUrl}/chat/completions`, {
      key: secret, body: { model: kSim, messages: slow, max_tokens: 8, ...(index % 2 === 0 && { stream: true }) },
    }));
    await until('all of them to be with a worker', 20, async () => {
      const text = await (await fetch(`http://127.0.0.1:${stack.adminPort(2)}/metrics`)).text();
      const sum = (family) => [...text.matchAll(new RegExp(`^${family}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((total, [, value]) => total + Number(value), 0);
      return sum('tidegate_gateway_inflight_requests') >= kWaiting && sum('tidegate_gateway_queue_requests') === 0;
    });
    const pid = fleet.pids()[0];
    kill(pid);
    const seen = await Promise.all(asking);
    // A stream may have been read already when its worker died: it had begun, and is told so. Of a whole answer nothing
    // has left before its end, so it is always written by another worker.
    const isLost = (each) => (lastWords(each.body).error ?? jsonOf(each)?.error)?.code === 'worker_lost';
    const begun = seen.filter(isLost);
    for (const [index, each] of seen.entries()) if (index % 2 === 1) assert.equal(each.status, 200, each.body.toString());
    for (const each of seen) if (!begun.includes(each)) assert.equal(each.status, 200, each.body.toString());
    finished += kWaiting - begun.length;
    await until('another worker', 60, () => fleet.pids().length === 2 && !fleet.pids().includes(pid));
    await fleet.ready();
    console.log(`${kWaiting} requests before their first token, one of two workers killed: ${kWaiting - begun.length} finished, ${begun.length} had begun and were told`);
    if (begun.length <= kWaiting / 4) break;
    // Who came late to the kill has shown nothing: another round.
    assert.ok(round < kSlowness, `${begun.length} of ${kWaiting} had begun: nothing was shown`);
  }
  const rows = await until('the bills', 30, async () => {
    const list = await allUsage('--tenant', name);
    return list.filter((row) => ['stop', 'length'].includes(row.event.finish_reason)).length >= finished && list;
  });
  assert.equal(new Set(rows.map((row) => row.event.request_id)).size, rows.length, 'a request billed twice');
});

test(`every gateway is replaced, ${kRolls} times under load: no stream fails`, async () => {
  const gateways = [Gateway.first()];
  let balancer;
  let pace;
  try {
    gateways.push(await Gateway.start('gateway-roll'));
    balancer = await Balancer.start(gateways);
    pace = await Pace.start({ name: 'rolled', credit: '50', perSecond: kPerSecond, body: () => ask(), baseUrl: balancer.baseUrl, gateways: gateways.map((each) => each.baseUrl), isKept: false });
    await until('the first answers', 30, () => pace.finished.size >= 5);
    const began = now();
    for (let round = 0; round < kRolls; ++round) {
      for (const gateway of gateways) {
        await gateway.restart();
        await until(`the balancer to see ${gateway.name}`, 10, () => balancer.sees(gateway)); // before the other one goes
      }
    }
    const took = (now() - began) / 1000;
    const during = await pace.since(began);
    await pace.stop();
    const failed = during.filter((sample) => !isServed(sample));
    assert.deepEqual(failed.slice(0, 3), [], `${failed.length} of ${during.length} failed`);
    const waits = during.map(({ wait }) => wait);
    console.log(`${kRolls * gateways.length} gateways replaced in ${took.toFixed(1)} s at ${kPerSecond}/s: ${during.length} streams, 0 failed, ${balancer.moved} connections were moved before they were read; ` +
      `wait p50 ${quantile(waits, 0.5).toFixed(0)}, longest ${Math.max(...waits).toFixed(0)} ms; ${await pace.prove()}`);
  } finally {
    await pace?.stop();
    balancer?.stop();
    await gateways[1]?.stop();
  }
});
