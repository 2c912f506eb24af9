// A limit on requests a minute, kept by three gateways together, at ten times the load.
import { ask, cli, newTenant, until } from '../lib/installation.mjs';
import { load } from '../lib/load.mjs';
import { chat } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kGateways = 3;
const kPerMinute = 6_000;
const kTimes = 10;
const kGoal = { most: 1 };

/** The limit counts UTC minutes: a run that crosses the turn of one would see two limits. */
async function roomInTheMinute(lab, seconds) {
  const left = 60 - (Date.now() / 1000) % 60;
  if (left > seconds) return;
  lab.say(`waiting ${Math.ceil(left)} s for the next minute`);
  await new Promise((done) => setTimeout(done, left * 1000 + 100));
}

export async function limiter(lab) {
  const body = chat(1, false);
  // At ten times the load the limit is used up after six seconds; the rest shows that nothing more gets through.
  const seconds = Math.min(Math.max(12 * lab.scale, 9), 40);
  await lab.withGateways({ count: kGateways, worker: { step_us: 1000, content_tokens: 1, sequences_max: 512 } }, async (it) => {
    const tenant = await newTenant('limited', it.gateways);
    await roomInTheMinute(lab, seconds + 12);
    await cli('limit', 'set', tenant.name, '--rpm', String(kPerMinute));
    // Answers that carry the limit's header were counted by it.
    let probed = 0;
    for (const { port } of it.gateways) {
      await until('the limit to be known', 10, async () => {
        const answer = await ask(port, tenant.key, body);
        await answer.text();
        const bound = answer.headers.get('x-ratelimit-limit-requests') === String(kPerMinute);
        if (answer.ok && bound) probed += 1;
        return bound;
      });
    }
    const minute = Math.floor(Date.now() / 60_000);
    const measured = await load(lab.cpus.others, {
      ports: it.ports, tenants: [tenant], body, watched: it.watched, connections_max: 2_000,
      phases: [{ name: 'measure', ms: seconds * 1000, rate: (kTimes * kPerMinute) / 60 }],
    });
    if (Math.floor(Date.now() / 60_000) !== minute) throw new Error('the run crossed the turn of a minute; run it again');
    const phase = measured.phase('measure');
    const letIn = phase.answered + probed;
    const others = Object.keys(phase.statuses).filter((status) => status !== '200' && status !== '429');
    if (others.length > 0 || phase.unfinished > 0) throw new Error(`other answers than 200 and 429: ${JSON.stringify(phase.statuses)}, ${phase.unfinished} not finished`);
    lab.say(`limiter: ${phase.due} requests in ${seconds} s, ${letIn} of ${kPerMinute} let in`);
    row('limiter', `let in of ${kPerMinute} a minute, ${kTimes}x offered, ${kGateways} gateways`, '', { tidegate: letIn });
    row('limiter', 'error', '%', { goal: kGoal, tidegate: (Math.abs(letIn - kPerMinute) / kPerMinute) * 100 });
    row('limiter', 'let in beyond the limit', '', { goal: { most: 0 }, tidegate: Math.max(0, letIn - kPerMinute) });
    row('limiter', 'refusal p99, from sending to the last byte', 'ms', { tidegate: phase.refusal_service_us.p99 / 1000 });
    note(`limiter: offered for ${seconds} s of the minute at ${(kTimes * kPerMinute) / 60} requests/s; the limit is used up after ${60 / kTimes} s`);
  });
}
