// A person's deployments, on real processes and under load that never stops: an edit is rolled out, and one command puts
// another model in a deployment's place: beside it, then 10 % of the traffic, then all, then the first one is gone. No
// request fails, every answer names what wrote it, and every answer is billed once.
// TIDEGATE_REPLACES sets how often the two models change places (1), TIDEGATE_CANARY_REQUESTS how many requests the share
// of 10 % is counted over (100).
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { Fleet, kSim, replicas } from './fleet.mjs';
import { Load, random } from './load.mjs';
import { isServed, Pace } from './pace.mjs';
import { kSlowness, patiently, stack, until } from './stack.mjs';

const kReplaces = Number(process.env.TIDEGATE_REPLACES ?? 1);
const kCanaryRequests = Number(process.env.TIDEGATE_CANARY_REQUESTS ?? 100);
const kPerSecond = Number(process.env.TIDEGATE_RATE ?? 20);
const kName = 'tang-moe';
const kFirst = ['--model', 'tang-moe', '--variant', 'fp8'];
const kSecondVariant = 'tang-distill-qwen2/bf16';

const find = async (name) => (await stack.cli('deploy', 'list')).deployments.find((each) => each.name === name);
const settledAt = (name, revision) => until(`${name} at revision ${revision}`, 120, async () => {
  const now = await find(name);
  return now.revision === revision && !now.rollout && now.progress.every(({ phase }) => phase === 'healthy') && now;
});

/** What the gateway gave to each arm of a model, since it started. */
async function given(model) {
  const text = await (await fetch(`http://127.0.0.1:${stack.adminPort(2)}/metrics`)).text();
  const counts = {};
  for (const [, labels, value] of text.matchAll(/^tidegate_gateway_arm_requests_total\{([^}]*)\} (\S+)$/gm)) {
    const of = Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text_]) => [key, text_]));
    if (of.model === model) counts[of.arm] = Number(value);
  }
  return counts;
}

test('a plan says what a deployment would be, before there is one', async () => {
  const plan = await stack.cli('deploy', 'plan', 'tang-moe', '--max-context', '512');
  const [option] = plan.options;
  assert.equal(option.can_deploy, true);
  assert.ok(option.context_max >= 512 && option.concurrency > 0 && option.weights_bytes > 0, JSON.stringify(option));
  assert.equal(option.ready_from, 'measured', 'one runs, so how long it takes is known');
  const text = await stack.cliText('deploy', 'plan', 'tang-moe', '--region', 'local');
  for (const word of ['HARDWARE', 'USD/h', 'CONTEXT', 'READY IN', 'local/cpu']) assert.ok(text.includes(word), text);
  const refused = await stack.cliText('deploy', 'plan', 'tang-moe', '--max-context', '4096').catch((error) => error);
  assert.match(String(refused.stdout), /not in local\/cpu fp8: .*1024.*context_too_long/s);
});

test('an edit is a new revision: replica by replica under load, no stream fails', async () => {
  const options = { 'sim.step_ms': 10, 'sim.reasoning_tokens': 0, 'sim.content_tokens': 40 };
  const fleet = await Fleet.start('rolled', { count: 2, sequences: 64, options });
  let pace;
  try {
    pace = await Pace.start({ name: 'edited', credit: '50', perSecond: kPerSecond, body: () => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: 60 }) });
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const before_ = fleet.pids();
    const edited = await stack.cli('deploy', 'apply', 'rolled', '--model', kSim, '--variant', 'sim', '--replicas', '2', '--sequences', '48',
      '--options', Object.entries(options).map(([key, value]) => `${key}=${value}`).join(','), '--wait', '--wait-limit', '2m');
    assert.equal(edited.revision, 2);
    await until('the old replicas to be gone', 60, () => fleet.pids().every((pid) => !before_.includes(pid)));
    assert.equal(fleet.pids().length, 2);
    const back = await stack.cli('deploy', 'rollback', 'rolled', '--wait', '--wait-limit', '2m');
    assert.equal(back.revision, 3);
    assert.equal(back.sequences_max, 64, 'what it was before');
  } finally {
    await pace?.stop();
    if (pace) {
      const failed = pace.samples.filter((sample) => !isServed(sample));
      assert.deepEqual(failed.slice(0, 3), [], `${failed.length} of ${pace.samples.length} failed`);
      console.log(`two rolling revisions of 2 replicas at ${kPerSecond}/s: ${pace.samples.length} streams, 0 failed; ${await pace.prove()}`);
    }
    await fleet.stop();
  }
});

let first;
before(async () => { first = await find(kName); });
after(async () => {
  // As deploy/up left it.
  const now = await find(kName);
  if (now.rollout) await stack.cli('deploy', 'rollback', kName, '--wait', '--wait-limit', '2m');
  if (now.model !== 'tang-moe') await stack.cli('deploy', 'replace', kName, '--with', 'tang-moe/fp8', '--steps', '100', '--wait-limit', '2m');
});

test(`one command replaces a model by another ${kReplaces} times under load: no request fails`, async () => {
  const load = await Load.start({ name: 'replaced', credit: '20', clients: 3, next: random(66), fetcher: patiently });
  const variants = new Map(); // variant -> weights, as told in answers
  let isWatching = true;
  const client = load.client;
  const watch = (async () => {
    while (isWatching) {
      const answer = await client.chat.completions.create({ model: 'tang-moe', max_tokens: 4, messages: [{ role: 'user', content: '雪' }] });
      assert.equal(answer.model, 'tang-moe', 'what was asked for');
      const weights = variants.get(answer.variant) ?? new Set();
      variants.set(answer.variant, weights.add(answer.system_fingerprint));
    }
  })();
  const began = performance.now();
  try {
    await load.progress(5);
    for (let round = 0; round < kReplaces; ++round) {
      const [to, home] = [['--with', kSecondVariant], ['--with', 'tang-moe/fp8']];
      const said = await stack.cliText('deploy', 'replace', kName, ...to, '--steps', '10,100', '--hold', `${2 * kSlowness}s`, '--wait-limit', '5m');
      // It tells what it sees: a command that stood still may have missed what is not held.
      const words = ['10 % of the traffic', 'gone', ...(kSlowness > 1 ? [] : ['healthy', '100 % of the traffic'])];
      for (const word of words) assert.ok(said.includes(word), said);
      assert.equal((await find(kName)).model, 'tang-distill-qwen2');
      await load.progress(5);
      await stack.cliText('deploy', 'replace', kName, ...home, '--steps', '10,100', '--wait-limit', '5m');
      assert.equal((await find(kName)).model, 'tang-moe');
      await load.progress(5);
    }
  } finally {
    isWatching = false;
    await watch;
    await load.stop();
  }
  assert.equal(load.failed, 0, `${load.failed} requests failed`);
  assert.deepEqual([...variants.keys()].sort(), ['fp8', kSecondVariant]);
  for (const [variant, weights] of variants) assert.equal(weights.size, 1, `${variant} names one digest: ${[...weights]}`);
  console.log(`${2 * kReplaces} replacements in ${((performance.now() - began) / 1000).toFixed(0)} s: ${load.finished.size} requests, 0 failed; ${await load.prove()}`);
});

test('a canary gets its share, exactly, survives a new scheduler, and is promoted', async () => {
  const { revision } = await find(kName);
  const made = await stack.cli('deploy', 'apply', kName, ...kFirst, '--sequences', '24', '--canary', '10');
  const [stable, canary] = [`${kName}.${revision}`, `${kName}.${made.rollout.revision}`];
  await until('the canary to have its share', 60, async () => (await find(kName)).rollout?.phase === 'waiting');
  const client = new OpenAI({ apiKey: stack.apiKey, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently });
  const ask = (text) => client.chat.completions.create({ model: 'tang-moe', max_tokens: 1, messages: [{ role: 'user', content: text }] });
  await until('the gateway to know the share', 10, async () => { await ask('x'); return (await given('tang-moe'))[canary] !== undefined; });
  const from = await given('tang-moe');
  for (let index = 0; index < kCanaryRequests; ++index) await ask(`${index} ${'雪'.repeat(index % 7)}`);
  const to = await given('tang-moe');
  const got = (arm) => (to[arm] ?? 0) - (from[arm] ?? 0);
  assert.equal(got(stable) + got(canary), kCanaryRequests);
  assert.ok(Math.abs(got(canary) - kCanaryRequests / 10) <= 1, `${got(canary)} of ${kCanaryRequests}`);

  const pid = stack.pid('scheduler');
  process.kill(pid, 'SIGKILL');
  await until('another scheduler', 60, async () => (await find(kName).catch(() => null))?.rollout?.phase === 'waiting');
  assert.equal(replicas().filter((each) => each.replica.startsWith(`${canary}-`)).length, 1, 'the canary that ran runs');

  const promoted = await stack.cli('deploy', 'promote', kName, '--wait', '--wait-limit', '2m');
  assert.equal(promoted.sequences_max, 24);
  assert.ok(!promoted.rollout);
  await settledAt(kName, promoted.revision);
  console.log(`a share of 10 %: ${got(canary)} of ${kCanaryRequests}`);
  // Back to what it was.
  await stack.cli('deploy', 'apply', kName, ...kFirst, ...(first.sequences_max ? ['--sequences', String(first.sequences_max)] : []), '--wait', '--wait-limit', '2m');
});
