// Prompts of 100,000 tokens: how many a second one core takes through reading, routing and admission.
import { load, mustAnswer } from '../lib/load.mjs';
import { chat, cores } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kTokens = 100_000;
const kBytesPerToken = 4; // the load-test engine's measure
const kGoal = { least: 150 };
const kClients = 16;

const run = (lab, plan) => load(lab.cpus.others, {
  ...plan, clients: kClients, connections_max: kClients,
  phases: [{ name: 'warm', ms: lab.ms(1000) }, { name: 'measure', ms: lab.ms(4000) }],
});

function figures(lab, name, measured) {
  const phase = measured.phase('measure');
  mustAnswer(name, phase);
  const own = name === 'tidegate' ? 'gateway' : name;
  lab.say(`${name}: ${Math.round(phase.answers_ended / phase.seconds)} requests/s; cores busy ${cores(phase)}`);
  return {
    perCore: phase.answers_ended / phase.processes[own].cpu_seconds, perSecond: phase.answers_ended / phase.seconds,
    p99: phase.whole_us.p99 / 1000, rss: phase.processes[own].rss_mib,
  };
}

export async function long(lab) {
  const words = 'the moon over the tide gate is low and the river is still. ';
  const body = chat(1, false, words.repeat(Math.ceil((kTokens * kBytesPerToken) / words.length)).slice(0, kTokens * kBytesPerToken));
  const out = {};
  await lab.withGateways({ worker: { step_us: 200, content_tokens: 1, sequences_max: 64 } }, async (it) => {
    out.tidegate = figures(lab, 'tidegate', await run(lab, { ports: it.ports, tenants: [it.tenant], body, watched: it.watched }));
  });
  await lab.withPeers({ upstream: { frames: 1, frame_ms: 20 } }, {
    peer: async (peer) => {
      const plan = { ports: [peer.port], body, headers: peer.headers, tenants: [{ name: 'all', key: 'bench' }], watched: [{ name: peer.name, pid: peer.pid }] };
      out[peer.name] = figures(lab, peer.name, await run(lab, plan));
    },
    skipped: (name, why) => { out[name] = null; note(`${name} not run: ${why}`); },
  });
  const of = (key) => Object.fromEntries(Object.entries(out).map(([name, each]) => [name, each ? each[key] : 'not run']));
  row('long', `requests of ${kTokens.toLocaleString('en-US')} prompt tokens a core-second`, '1/s', { ...of('perCore'), goal: kGoal });
  row('long', 'requests a second as run', '1/s', of('perSecond'));
  row('long', 'whole answer p99', 'ms', of('p99'));
  row('long', 'resident memory', 'MiB', of('rss'));
}
