// One customer at a hundred times its share: what the others notice.
import { newTenant } from '../lib/installation.mjs';
import { load, mustAnswer } from '../lib/load.mjs';
import { chat } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';
import { kGateway, kWorker, peakOf } from './overload.mjs';

const kTimes = 100;
const kGoal = { most: 10 };
const kOthers = 3;

/** First tokens of the customers that keep to their share. */
const worst = (phase) => Math.max(...phase.tenants.slice(1).map((tenant) => tenant.first_token_us.p99));
const answered = (phase) => phase.tenants.slice(1).reduce((sum, tenant) => sum + tenant.answered, 0);

export async function fairness(lab) {
  const body = chat(16, true);
  await lab.withGateways({ gateway: kGateway, worker: kWorker }, async (it) => {
    const peak = await peakOf(lab, it, body);
    const tenants = [it.tenant];
    for (let i = 0; i < kOthers; ++i) tenants.push(await newTenant(`quiet${i}`, it.gateways));
    const share = peak / tenants.length;
    const quiet = 0.6 * share; // they keep below their share, so whatever they wait is not of their making
    const rates = (loud) => [loud, ...Array.from({ length: kOthers }, () => quiet)];
    const measured = await load(lab.cpus.others, {
      ports: it.ports, tenants, body, watched: it.watched, stream: true, connections_max: 8_000, answer_max_ms: 10_000,
      phases: [
        { name: 'warm', ms: 1000, rates: rates(quiet) },
        { name: 'alone', ms: lab.ms(5000), rates: rates(quiet) },
        { name: 'ramp', ms: 2000, rates: rates(kTimes * share) },
        { name: 'loud', ms: lab.ms(5000), rates: rates(kTimes * share) },
      ],
    });
    const alone = measured.phase('alone');
    const loud = measured.phase('loud');
    mustAnswer('before one is loud', alone, 0.98);
    const due = Math.round(kOthers * quiet * loud.seconds);
    lab.say(`fairness: one at ${Math.round(kTimes * share)}/s beside ${kOthers} at ${Math.round(quiet)}/s each; the worker takes ${Math.round(peak)}/s`);
    row('fairness', 'first token p99 of the others, nobody loud', 'ms', { tidegate: worst(alone) / 1000 });
    row('fairness', `the same, one at ${kTimes}x its share`, 'ms', { tidegate: worst(loud) / 1000 });
    row('fairness', 'rise', '%', { goal: kGoal, tidegate: (worst(loud) / worst(alone) - 1) * 100 });
    row('fairness', 'answers the others got, to what they asked', '%', { goal: { least: 99 }, tidegate: (answered(loud) / due) * 100 });
    row('fairness', 'answers the loud one got', '1/s', { tidegate: loud.tenants[0].answered / loud.seconds });
    note(`fairness: the others' rates are Poisson means, so their share of answers may pass 100 % a little`);
  });
}
