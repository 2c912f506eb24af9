// 512 streams of 50 tokens a second: what a token costs, and how even they come.
import { cpuMicros, direct, load, mustAnswer } from '../lib/load.mjs';
import { chat, cores } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kTokens = 64;
const kStepMs = 20;
const kStreams = 512;
const kGoals = { cpu: { most: 10 }, gap: { most: 0.5 } };

/** Streams begin evenly; by Little's law so many are open at once. */
const streams = (lab, plan, run = load) => {
  const rate = kStreams / ((kTokens * kStepMs) / 1000);
  return run(lab.cpus.others, {
    ...plan, stream: true, spacing: 'constant', connections_max: 4 * kStreams,
    phases: [{ name: 'warm', ms: Math.max(lab.ms(2000), 2000), rate }, { name: 'measure', ms: lab.ms(5000), rate }],
  });
};

function figures(lab, name, measured, base) {
  const phase = measured.phase('measure');
  mustAnswer(name, phase, 0.98);
  const own = name === 'tidegate' ? 'gateway' : name;
  lab.say(`${name}: ${Math.round(phase.token_events / phase.seconds)} token events/s on ${phase.streams_open} streams; cores busy ${cores(phase)}`);
  return {
    events: phase.token_events / phase.seconds, cpu: cpuMicros(phase, own, phase.token_events), gap: phase.gap_us.p99 / 1000,
    added: (phase.gap_us.p99 - base.gap_us.p99) / 1000, first: (phase.first_token_us.p99 - base.first_token_us.p99) / 1000,
    rss: phase.processes[own].rss_mib, cores: cores(phase),
  };
}

export async function stream(lab) {
  const body = chat(kTokens, true);
  const out = {};
  await lab.withGateways({ worker: { step_us: kStepMs * 1000, content_tokens: kTokens, sequences_max: 4 * kStreams } }, async (it) => {
    const base = (await streams(lab, { body }, (cpus, each) => direct(cpus, it.worker, each))).phase('measure');
    mustAnswer('direct', base, 0.98);
    out.direct = { events: base.token_events / base.seconds, gap: base.gap_us.p99 / 1000 };
    out.tidegate = figures(lab, 'tidegate', await streams(lab, { ports: it.ports, tenants: [it.tenant], body, watched: it.watched }), base);
  });
  await lab.withPeers({ upstream: { frames: kTokens, frame_ms: kStepMs } }, {
    direct: async (port) => (await streams(lab, { ports: [port], body })).phase('measure'),
    peer: async (peer, base) => {
      const plan = { ports: [peer.port], body, headers: peer.headers, tenants: [{ name: 'all', key: 'bench' }], watched: [{ name: peer.name, pid: peer.pid }] };
      out[peer.name] = figures(lab, peer.name, await streams(lab, plan), base);
    },
    skipped: (name, why) => { out[name] = null; note(`${name} not run: ${why}`); },
  });
  const of = (key) => Object.fromEntries(Object.entries(out).map(([name, each]) => [name, each ? each[key] : 'not run']));
  const add = (what, unit, key, goal) => row('stream', what, unit, { ...of(key), goal });
  add(`token events (${kStreams} streams x 50/s offered)`, '1/s', 'events');
  add('CPU a token event', 'us', 'cpu', kGoals.cpu);
  add('gap between tokens, p99', 'ms', 'gap');
  add('added to that gap, p99', 'ms', 'added', kGoals.gap);
  add('added to the first token, p99', 'ms', 'first');
  add('resident memory', 'MiB', 'rss');
  add('cores busy', '', 'cores');
  note('stream: "direct" of ours is the worker spoken to as a gateway does; that of the peers is their provider, and is not shown');
  note('Portkey streams only with a preload that swallows an exception of its own (bench/gateway/README.md)');
}
