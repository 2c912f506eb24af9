// What a fleet survives, on real processes under load that never waits for its answers. A worker's kill -9: nothing more is
// sent there, its replacement runs within two seconds, and what had not streamed is served elsewhere. A leader that
// freezes: its standby takes over the workers, and the late one acts on nothing. A scheduler that is gone: all serve on, and the
// next one finds everything as it was. A rolling revision whose scheduler dies in the middle. A second variant beside the
// first, its share counted from the customers' answers.
// TIDEGATE_FLEET_KILLS (4; a proof has 100), TIDEGATE_LEADER_FREEZE_S (8; 30), TIDEGATE_SCHEDULER_DEAD_S (6; 60),
// TIDEGATE_SHARE_HOLD_S (8; 60), TIDEGATE_RATE (20 a second). TIDEGATE_FIGURES names a file that gets one JSON line a figure.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test, { after } from 'node:test';
import OpenAI from 'openai';
import { Fleet, kSim, replicas, workerProcesses } from './fleet.mjs';
import { Gateway } from './gateways.mjs';
import { isServed, Pace, pause } from './pace.mjs';
import { Scheduler } from './schedulers.mjs';
import { bound, kSlowness, patiently, stack, until } from './stack.mjs';
import { kill } from './victims.mjs';
import { now, quantile } from './wire.mjs';

const kKills = Number(process.env.TIDEGATE_FLEET_KILLS ?? 4);
const kFreezeS = Number(process.env.TIDEGATE_LEADER_FREEZE_S ?? 8);
const kDeadS = Number(process.env.TIDEGATE_SCHEDULER_DEAD_S ?? 6);
const kHoldS = Number(process.env.TIDEGATE_SHARE_HOLD_S ?? 8);
const kPerSecond = Number(process.env.TIDEGATE_RATE ?? 20);

const kNoMoreTrafficMs = bound(1000);
const kReplacementMs = bound(2000);
const kNewLeaderMs = bound(6000);
// A replica that dies again and again is started with more and more delay, forgiven after a minute of service
// (scheduler/core/reconciler.h). Three times it is below a second.
const kKillsInARow = 3;
const kForgivenMs = 61_000;
// A moment in which the last answers before a kill may still have been given to the worker that was killed.
const kBeforeMs = 5000;

const kOptions = { 'sim.step_ms': 10, 'sim.reasoning_tokens': 0, 'sim.content_tokens': 40 };
const ask = () => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: 60 });
const find = async (name) => (await stack.cli('deploy', 'list')).deployments.find((each) => each.name === name);

/** One line for people and, where it is asked for, one for bench/fleet/run. */
function figure(name, value, goal, isMet) {
  console.log(`${name}: ${value} (${goal})`);
  if (process.env.TIDEGATE_FIGURES) fs.appendFileSync(process.env.TIDEGATE_FIGURES, `${JSON.stringify({ name, value, goal, isMet })}\n`);
  assert.ok(isMet, `${name}: ${value}, the goal is ${goal}`);
}
const worst = (list) => `${Math.max(...list).toFixed(0)} ms at worst, ${quantile(list, 0.5).toFixed(0)} at the median`;

/** Nothing failed but streams that had begun at a worker that was killed at one of `kills` (times), and were told so. */
function checkFailures(samples, kills) {
  const failed = samples.filter((sample) => !isServed(sample));
  for (const sample of failed) {
    const text = JSON.stringify(sample);
    assert.equal(sample.status, 200, `not begun, and lost: ${text}`);
    assert.equal(sample.code, 'worker_lost', text);
    assert.ok(!Number.isNaN(sample.wait), `not begun, and lost: ${text}`);
    const isNear = (at) => sample.dueAt > at - kBeforeMs * kSlowness && sample.dueAt < at + kNoMoreTrafficMs;
    assert.ok(kills.some(isNear), `given to a worker that was gone for a second: ${text}`);
  }
  return failed.length;
}

async function gatewaySum(family, adminPort = stack.adminPort(2)) {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return [...text.matchAll(new RegExp(`^${family}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Counts the worker processes of a deployment all the time: how many there were at most for one replica. */
class Census {
  most = new Map(); // replica -> processes at one moment
  looks = 0;
  #isOver = false;

  constructor(deployment) {
    const look = () => {
      const counts = new Map();
      for (const each of workerProcesses()) if (each.deployment === deployment) counts.set(each.replica, (counts.get(each.replica) ?? 0) + 1);
      for (const [replica, count] of counts) this.most.set(replica, Math.max(count, this.most.get(replica) ?? 0));
      this.looks += 1;
      if (!this.#isOver) setTimeout(look, 20);
    };
    look();
  }

  stop() {
    this.#isOver = true;
    return [...this.most.values()].filter((count) => count > 1).length;
  }
}

/** Fleet.stop() for `finally`: what a test has to say comes before what its end has. */
const gone = (fleet) => fleet?.stop().catch((error) => console.error(`# ${error.message}`));

test(`kill -9 of a worker, ${kKills} times under load: no more traffic there, a replacement within two seconds`, async () => {
  const count = Math.min(12, Math.max(2, Math.ceil(kKills / kKillsInARow)));
  const fleet = await Fleet.start('killed-off', { count, options: kOptions });
  let pace;
  try {
    pace = await Pace.start({ name: 'killedoff', credit: '100', perSecond: kPerSecond, body: ask });
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const began = now();
    const slots = new Map(replicas().filter((each) => each.deployment === fleet.name).map(({ replica }) => [replica, { kills: 0, since: began }]));
    assert.equal(slots.size, count);
    const [kills, noticed, replaced, whole] = [[], [], [], []];
    for (let round = 0; round < kKills; ++round) {
      // The one that lived longest; once its delays would grow it is left to serve until they are forgiven.
      const [replica, slot] = [...slots].sort(([, a], [, b]) => a.kills - b.kills || a.since - b.since)[0];
      if (slot.kills >= kKillsInARow) {
        await pause(Math.max(0, slot.since + kForgivenMs - now()));
        slot.kills = 0;
      }
      const { pid } = replicas().find((each) => each.replica === replica);
      const [lost, known] = [await gatewaySum('tidegate_gateway_workers_lost_total'), await gatewaySum('tidegate_gateway_routes_workers')];
      assert.ok(kill(pid));
      const killedAt = now();
      kills.push(killedAt);
      const [noticedAt, replacedAt] = await Promise.all([
        // Its connection breaks, or the scheduler takes its route away: whichever comes first ends the traffic.
        until('the gateway to give it up', 10, async () =>
          ((await gatewaySum('tidegate_gateway_workers_lost_total')) > lost || (await gatewaySum('tidegate_gateway_routes_workers')) < known) && now()),
        until('its replacement', 20, () => workerProcesses().some((each) => each.replica === replica && each.pid !== pid) && now()),
      ]);
      noticed.push(noticedAt - killedAt);
      replaced.push(replacedAt - killedAt);
      await until('it to be on record', 10, () => replicas().some((each) => each.replica === replica && each.pid !== pid && kill(each.pid, 0)));
      await fleet.ready();
      whole.push(now() - killedAt);
      await until('the gateway to know it', 20, async () => (await gatewaySum('tidegate_gateway_routes_workers')) >= known);
      Object.assign(slot, { kills: slot.kills + 1, since: now() });
    }
    await pace.since(began); // whatever fell due has ended
    await pace.stop();
    const cut = checkFailures(pace.samples, kills);
    figure(`kill -9 of a worker, ${kKills} times: gateways give it up after`, worst(noticed), `<= ${kNoMoreTrafficMs} ms`, Math.max(...noticed) <= kNoMoreTrafficMs);
    figure('its replacement is a process after', worst(replaced), `<= ${kReplacementMs} ms`, Math.max(...replaced) <= kReplacementMs);
    figure('the deployment is whole after', worst(whole), 'told', true);
    figure('requests lost that had not streamed', `0 of ${pace.samples.length}; ${cut} had begun and were told`, '0', true);
    console.log(await pace.prove());
  } finally {
    await pace?.stop();
    await gone(fleet);
  }
});

test(`a scheduler that is gone for ${kDeadS} s: all serve on, the next one adopts everything`, async () => {
  const scheduler = Scheduler.first();
  const fleet = await Fleet.start('orphaned', { count: 2, options: kOptions });
  const supervisor = scheduler.supervisor();
  let pace;
  try {
    pace = await Pace.start({ name: 'orphaned', credit: '50', perSecond: kPerSecond, body: ask });
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const census = new Census(fleet.name);
    const before_ = workerProcesses().map(({ pid }) => pid).sort();
    const term = await scheduler.metric('tidegate_scheduler_term');
    const pid = scheduler.pid();
    kill(supervisor, 'SIGSTOP'); // it would be back at once
    kill(pid);
    const deadAt = now();
    await pause(kDeadS * 1000);
    const during = await pace.since(deadAt);
    kill(supervisor, 'SIGCONT');
    await until('another scheduler to lead', 60, () => scheduler.leads());
    const leadsAt = now();
    await until('its routes', 30, async () => (await scheduler.metric('tidegate_scheduler_workers_ready_count')) >= before_.length);
    const adopted = now() - leadsAt;
    await fleet.ready();
    await pace.window(5); // longer than any grace it gives
    await pace.stop();
    assert.deepEqual(checkFailures(pace.samples, []), 0);
    assert.deepEqual(workerProcesses().map((each) => each.pid).sort(), before_, 'the same processes');
    assert.ok((await scheduler.metric('tidegate_scheduler_term')) > term);
    figure(`scheduler gone for ${kDeadS} s: streams failed`, `${during.filter((each) => !isServed(each)).length} of ${during.length}`, '0', during.every(isServed) && during.length > 0);
    figure('after it is back, replicas restarted', `${await scheduler.metric('tidegate_scheduler_restarts_count')}`, '0', (await scheduler.metric('tidegate_scheduler_restarts_count')) === 0);
    figure('replicas that ran twice', `${census.stop()}`, '0', census.stop() === 0);
    figure('all workers registered, after it leads', `${adopted.toFixed(0)} ms`, 'told', true);
    console.log(await pace.prove());
  } finally {
    kill(supervisor, 'SIGCONT');
    await pace?.stop();
    await until('a scheduler to lead', 60, () => scheduler.leads());
    await gone(fleet);
  }
});

test('a rolling revision whose scheduler is killed in the middle: no stream fails, never fewer replicas', async () => {
  const scheduler = Scheduler.first();
  const fleet = await Fleet.start('rolled-on', { count: 3, options: kOptions });
  let pace;
  try {
    pace = await Pace.start({ name: 'rolledon', credit: '50', perSecond: kPerSecond, body: ask });
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const old = fleet.pids();
    const routes = await gatewaySum('tidegate_gateway_routes_workers');
    let least = routes;
    let isOver = false;
    const watch = (async () => {
      for (; !isOver; await pause(50)) least = Math.min(least, await gatewaySum('tidegate_gateway_routes_workers'));
    })();
    const began = now();
    try {
      await stack.cli('deploy', 'apply', fleet.name, '--model', kSim, '--variant', 'sim', '--replicas', '3', '--sequences', '48',
        '--options', Object.entries(kOptions).map(([key, value]) => `${key}=${value}`).join(','));
      await until('the roll to be in its middle', 60, async () => ((await find(fleet.name)).rollout?.done ?? 0) >= 1);
      kill(scheduler.pid());
      await until('the new revision to serve alone', 120, async () => {
        const seen = await find(fleet.name).catch(() => null);
        return seen && seen.revision === 2 && !seen.rollout && seen.replicas_ready >= 3;
      });
      await until('the old replicas to end', 60, () => fleet.pids().length === 3 && fleet.pids().every((pid) => !old.includes(pid)));
    } finally {
      isOver = true;
      await watch;
    }
    const took = (now() - began) / 1000;
    await pace.window(1);
    await pace.stop();
    const failed = pace.samples.filter((sample) => !isServed(sample));
    assert.deepEqual(failed.slice(0, 3), [], `${failed.length} of ${pace.samples.length} failed`);
    figure('rolling revision of 3 replicas, its scheduler killed in the middle: streams failed', `0 of ${pace.samples.length} in ${took.toFixed(1)} s`, '0', true);
    figure('workers that gateways knew at least', `${least} of ${routes}`, `>= ${routes}`, least >= routes);
    console.log(await pace.prove());
  } finally {
    await pace?.stop();
    await until('a scheduler to lead', 60, () => scheduler.leads());
    await gone(fleet);
  }
});

test(`a second variant takes the first one's place in one command; over ${kHoldS} s at 10 % customers see its share`, async () => {
  const kName = 'tang-moe';
  const kSecond = 'tang-distill-qwen2/bf16';
  const was = await find(kName);
  assert.equal(was.variant, 'fp8');
  const client = new OpenAI({ apiKey: stack.apiKey, baseURL: stack.baseUrl, maxRetries: 0, timeout: 60_000, fetch: patiently });
  const answers = []; // { at, end, variant }
  const failures = [];
  let isRunning = true;
  const lanes = Array.from({ length: 4 }, async () => {
    while (isRunning) {
      const at = now();
      try {
        const { variant } = await client.chat.completions.create({ model: kName, max_tokens: 2, messages: [{ role: 'user', content: '雪' }] });
        answers.push({ at, end: now(), variant });
      } catch (error) {
        failures.push(error.message);
        await pause(50);
      }
    }
  });
  let isReplacing = true;
  const seenAtTen = [];
  try {
    const replacing = stack.cliText('deploy', 'replace', kName, '--with', kSecond, '--steps', '10,100', '--hold', `${kHoldS}s`, '--wait-limit', '5m')
      .finally(() => { isReplacing = false; });
    replacing.catch(() => {}); // thrown where it is awaited
    while (isReplacing) {
      const asked = now();
      const found = await find(kName).catch(() => null);
      if (found?.rollout?.share_percent === 10) seenAtTen.push(asked);
      await pause(50);
    }
    await replacing;
    assert.equal((await find(kName)).model, 'tang-distill-qwen2');
    const switched = answers.length;
    await until('answers of the second alone', 60, () => answers.length >= switched + 20);
    assert.ok(answers.slice(-10).every(({ variant }) => variant === kSecond), 'the first one is gone');
  } finally {
    isRunning = false;
    await Promise.all(lanes);
    const left = await find(kName);
    if (left.rollout) await stack.cli('deploy', 'rollback', kName, '--wait', '--wait-limit', '2m');
    if ((await find(kName)).model !== was.model) await stack.cliText('deploy', 'replace', kName, '--with', 'tang-moe/fp8', '--steps', '100', '--wait-limit', '5m');
  }
  assert.deepEqual(failures.slice(0, 3), [], `${failures.length} requests failed`);
  // Gateways hear of a share within a second of its beginning, and of the next one not before it is stored.
  const [from, to] = [seenAtTen[0] + 1000 * kSlowness, seenAtTen.at(-1)];
  const window = answers.filter(({ at, end }) => at >= from && end <= to);
  assert.ok(window.length >= 30, `${window.length} answers at 10 %: nothing was shown; hold it longer`);
  const second = window.filter(({ variant }) => variant === kSecond).length;
  // Four standard deviations of a fair coin with 10 %: what a split by chance would show in all but 1 of 16,000 runs.
  const slack = 4 * Math.sqrt(window.length * 0.1 * 0.9);
  figure(`a second variant at 10 % for ${kHoldS} s: its answers`, `${second} of ${window.length} (${(100 * second / window.length).toFixed(1)} %)`,
    `10 % within ${(100 * slack / window.length).toFixed(1)} points`, Math.abs(second - window.length * 0.1) <= slack);
  figure('requests failed from the first to the last step', `0 of ${answers.length}`, '0', true);
});

// Two schedulers, workers and a gateway that know both.
let pair = null;
after(async () => {
  // In the reverse order, whatever of it there is: the others find the installation as it was.
  if (!pair) return;
  if (pair.pid) kill(pair.pid, 'SIGCONT');
  await pair.standby?.stop();
  await until('the first scheduler to lead', 60, () => pair.first.leads());
  await gone(pair.fleet);
  await pair.gateway?.stop();
  await pair.first.restore();
});

test(`a leader frozen for ${kFreezeS} s under load: a new one within six, and the late one acts on nothing`, async () => {
  const first = Scheduler.first();
  pair = { first };
  await first.restart({ 'scheduler.peers': Scheduler.address('scheduler-2') });
  const standby = pair.standby = await Scheduler.standby('scheduler-2', ['scheduler']);
  // Workers from before know one scheduler: another life of each knows both.
  const old = replicas().filter((each) => each.deployment === 'tang-moe');
  for (const each of old) kill(each.pid);
  await until('the demo worker to be back', 90, async () =>
    replicas().some((each) => each.deployment === 'tang-moe' && !old.some(({ pid }) => pid === each.pid)) && (await find('tang-moe')).status === 'ready');
  const gateway = pair.gateway = await Gateway.start('gateway-pair', { 'scheduler.address': `${first.address},${standby.address}` });
  const fleet = pair.fleet = await Fleet.start('thawed', { count: 2, options: kOptions, gateways: [stack.baseUrl, gateway.baseUrl] });
  const term = await first.metric('tidegate_scheduler_term');
  const pace = await Pace.start({ name: 'thawed', credit: '100', perSecond: kPerSecond, body: ask, baseUrl: gateway.baseUrl, gateways: [gateway.baseUrl] });
  const census = new Census(fleet.name);
  const kills = [];
  try {
    await until('the first answers', 20, () => pace.finished.size >= 5);
    const before_ = fleet.pids().sort();
    pair.pid = first.pid();
    kill(pair.pid, 'SIGSTOP');
    const frozenAt = now();
    await until('the standby to lead', 30, () => standby.leads());
    const led = now() - frozenAt;
    await until('all workers to be known to it', 20, async () => (await standby.metric('tidegate_scheduler_workers_ready_count')) >= 2 + old.length);
    const adopted = now() - frozenAt;
    assert.deepEqual(fleet.pids().sort(), before_, 'a change of leader restarts nothing');
    // What it does now the old leader knows nothing of: a third replica.
    await standby.cli('deploy', 'apply', fleet.name, '--model', kSim, '--variant', 'sim', '--replicas', '3', '--sequences', '64',
      '--options', Object.entries(kOptions).map(([key, value]) => `${key}=${value}`).join(','));
    await until('the third replica', 30, () => fleet.pids().length === 3);
    await pause(Math.max(0, frozenAt + kFreezeS * 1000 - now()));
    // The moment in which two might act: a replica ends, and he who believes to lead wakes.
    const victim = replicas().find((each) => each.deployment === fleet.name);
    kill(victim.pid);
    kills.push(now());
    kill(pair.pid, 'SIGCONT');
    const frozenFor = (now() - frozenAt) / 1000;
    await until('the late one to know', 20, async () => (await first.metric('tidegate_scheduler_is_leader')) === 0);
    await until('three replicas again', 30, () => fleet.pids().length === 3 && !fleet.pids().includes(victim.pid));
    await until('all of them to serve', 30, async () => (await standby.metric('tidegate_scheduler_workers_ready_count')) >= 3 + old.length);
    const refused = await first.cli('deploy', 'apply', fleet.name, '--model', kSim, '--variant', 'sim', '--replicas', '1').then(() => null, (error) => `${error.stderr}${error.stdout}`);
    assert.match(refused ?? 'it was taken', /not_leader/, 'an order to the late one');
    // Whoever gives orders under the old term is refused from now on: on record for the driver, and at every worker.
    const newTerm = await standby.metric('tidegate_scheduler_term');
    assert.ok(newTerm > term, `${newTerm} after ${term}`);
    assert.equal(Number(fs.readFileSync(`${stack.folder}/workers/term`, 'utf8')), newTerm);
    for (const { admin } of workerProcesses()) {
      await until(`the worker at ${admin} to obey the new term alone`, 10, async () =>
        Number((await (await fetch(`http://${admin}/metrics`)).text()).match(/^tidegate_worker_scheduler_term(?:\{[^}]*\})? (\S+)$/m)?.[1]) === newTerm);
    }
    await pace.window(5); // it would have acted by now
    await pace.stop();
    const cut = checkFailures(pace.samples, kills);
    const doubles = census.stop();
    assert.equal(fleet.pids().length, 3);
    assert.equal(workerProcesses().filter((each) => each.deployment === fleet.name).length, 3, 'and no process that is on no record');
    assert.ok(await standby.leads());
    figure(`leader frozen for ${frozenFor.toFixed(0)} s: another leads after`, `${led.toFixed(0)} ms`, `<= ${kNewLeaderMs} ms`, led <= kNewLeaderMs);
    figure('all workers are known to it after', `${adopted.toFixed(0)} ms`, 'told', true);
    figure('replicas that ran twice at any moment', `${doubles} (${census.looks} looks)`, '0', doubles === 0);
    figure('streams failed, but those of the worker killed at the thaw', `0 of ${pace.samples.length}; ${cut} had begun and were told`, '0', true);
    console.log(await pace.prove());
  } finally {
    census.stop();
    if (pair.pid) kill(pair.pid, 'SIGCONT');
    await pace.stop();
  }
});
