// Ten times what the worker can do, and back: goodput, honest refusals, recovery, and whether waiting pays.
import { load, mustAnswer } from '../lib/load.mjs';
import { chat } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kTokens = 16;
const kTimes = 10;
const kGoals = { goodput: { least: 90 }, refusal: { most: 10 }, recovery: { most: 10 }, admitted: { least: 95 } };
// The worker is what is short here: 32 sequences of 17 steps of 10 ms. The queue in front of it is bounded in time and
// length as an operator of interactive models would.
export const kWorker = { step_us: 10_000, content_tokens: kTokens, sequences_max: 32 };
export const kGateway = { 'limits.queue_wait_ms': '2000', 'limits.queue_length': '256' };
const kClients = 96;

/** What the worker takes when it always has enough to do. */
export async function peakOf(lab, it, body) {
  const measured = await load(lab.cpus.others, {
    ports: it.ports, tenants: [it.tenant], body, watched: it.watched, stream: true, clients: kClients, connections_max: kClients,
    phases: [{ name: 'warm', ms: 1000 }, { name: 'measure', ms: lab.ms(3000) }],
  });
  const phase = measured.phase('measure');
  mustAnswer('at peak', phase, 0.98);
  return phase.answers_ended / phase.seconds;
}

/** Seconds after `from` until no refusal and no slow first token comes any more. */
function recoverySeconds(ticks, from, calmUs) {
  const first = Math.round((from * 1000) / ticks.ms);
  let last = first - 1;
  for (let i = first; i < ticks.refused.length; ++i) {
    if (ticks.refused[i] > 0 || ticks.slowest_first_token_us[i] > calmUs) last = i;
  }
  return ((last + 1 - first) * ticks.ms) / 1000;
}

async function spike(lab, it, body, peak) {
  const seconds = { calm: lab.ms(3000) / 1000, spike: lab.ms(5000) / 1000, after: 10 };
  const measured = await load(lab.cpus.others, {
    ports: it.ports, tenants: [it.tenant], body, watched: it.watched, stream: true, connections_max: 8_000, answer_max_ms: 10_000,
    phases: [
      { name: 'calm', ms: seconds.calm * 1000, rate: peak / 2 },
      { name: 'ramp', ms: 1000, rate: 2 * peak },
      { name: 'spike', ms: seconds.spike * 1000, rate: kTimes * peak },
      { name: 'after', ms: seconds.after * 1000, rate: peak / 2 },
    ],
  });
  const calm = measured.phase('calm');
  mustAnswer('before the spike', calm, 0.98);
  const hot = measured.phase('spike');
  const wrong = Object.keys(hot.statuses).filter((status) => !['200', '429', '503'].includes(status));
  if (wrong.length > 0) throw new Error(`overload was answered with ${JSON.stringify(hot.statuses)}`);
  // Twice the worst calm wait is what a user would not notice.
  const recovery = recoverySeconds(measured.ticks, seconds.calm + 1 + seconds.spike, 2 * calm.first_token_us.max);
  lab.say(`overload: peak ${Math.round(peak)}/s, at ${kTimes}x ${Math.round(hot.answers_ended / hot.seconds)}/s answered, ${Math.round(hot.refused / hot.seconds)}/s refused`);
  row('overload', 'answers at peak', '1/s', { tidegate: peak });
  row('overload', `answers at ${kTimes}x the peak, to the peak`, '%', { goal: kGoals.goodput, tidegate: (hot.answers_ended / hot.seconds / peak) * 100 });
  row('overload', 'first token p99 of those let in (queue limit 2 s)', 'ms', { tidegate: hot.first_token_us.p99 / 1000 });
  row('overload', 'refusal p99, from sending to the last byte', 'ms', { goal: kGoals.refusal, tidegate: hot.refusal_service_us.p99 / 1000 });
  row('overload', 'until calm again after the spike', 's', { goal: kGoals.recovery, tidegate: recovery });
}

async function comingBack(lab, it, body, peak) {
  const measured = await load(lab.cpus.others, {
    ports: it.ports, tenants: [it.tenant], body, watched: it.watched, stream: true, connections_max: 8_000, answer_max_ms: 15_000,
    retries_max: 5, drain_max_ms: 15_000,
    phases: [{ name: 'calm', ms: 1000, rate: peak / 2 }, { name: 'spike', ms: 1000, rate: kTimes * peak }, { name: 'after', ms: 12_000, rate: peak / 5 }],
  });
  const hot = measured.phase('spike');
  row('overload', 'clients refused in one second of it that came back', '', { tidegate: hot.came_back });
  row('overload', 'told to wait, median', 's', { tidegate: hot.told_to_wait_us.p50 / 1e6 });
  row('overload', 'let in at the first try after Retry-After', '%', {
    goal: kGoals.admitted, tidegate: hot.came_back > 0 ? (hot.admitted_at_once / hot.came_back) * 100 : 'none was refused',
  });
  row('overload', 'let in after up to five such waits', '%', {
    tidegate: hot.came_back > 0 ? ((hot.admitted_at_once + hot.admitted_later) / hot.came_back) * 100 : 'none was refused',
  });
}

export async function overload(lab) {
  const body = chat(kTokens, true);
  await lab.withGateways({ gateway: kGateway, worker: kWorker }, async (it) => {
    const peak = await peakOf(lab, it, body);
    await spike(lab, it, body, peak);
    await comingBack(lab, it, body, peak);
  });
  note('overload: the worker is the bottleneck on purpose; Poisson arrivals, refused clients do not come back except in the last four rows');
}
