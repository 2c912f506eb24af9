// Whole answers of 64 tokens: how many a second, what one costs, what it adds.
import { cpuMicros, direct, load, mustAnswer } from '../lib/load.mjs';
import { chat, cores } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kTokens = 64;
const kGoals = { cpu: { most: 75 }, ratio: { least: 12 } };
// The worker takes 64 steps of a millisecond for an answer, so saturation needs many at once; the peers' provider answers
// at once, and 64 clients are where they were found to be fastest.
const kOurClients = 1024;
const kPeerClients = 64;

const saturate = (lab, plan, clients) => load(lab.cpus.others, {
  ...plan, clients, connections_max: clients,
  phases: [{ name: 'warm', ms: lab.ms(1500) }, { name: 'measure', ms: lab.ms(4000) }],
});

/** Half of what it can take, by a plan that waits for nobody. */
const half = (lab, plan, rate, run = load) => run(lab.cpus.others, {
  ...plan, connections_max: 4000,
  phases: [{ name: 'warm', ms: lab.ms(1000), rate }, { name: 'measure', ms: lab.ms(3000), rate }],
});

async function figures(lab, name, plan, clients, floor, settle = () => {}) {
  const full = (await saturate(lab, plan, clients)).phase('measure');
  await settle();
  mustAnswer(`${name} at saturation`, full);
  const perSecond = full.answers_ended / full.seconds;
  const own = name === 'tidegate' ? 'gateway' : name;
  const calm = (await half(lab, plan, perSecond / 2)).phase('measure');
  mustAnswer(`${name} at half load`, calm);
  await settle();
  const base = (await floor(perSecond / 2)).phase('measure');
  mustAnswer(`direct at half of ${name}'s load`, base);
  lab.say(`${name}: ${Math.round(perSecond)} requests/s; cores busy ${cores(full)}`);
  return {
    perSecond, p50: full.whole_us.p50 / 1000, p99: full.whole_us.p99 / 1000, cpu: cpuMicros(full, own, full.answers_ended),
    rss: full.processes[own].rss_mib, added: (calm.first_byte_us.p99 - base.first_byte_us.p99) / 1000, cores: cores(full), tokens: full.tokens_told / full.answers_ended,
  };
}

export async function nonstream(lab) {
  const body = chat(kTokens, false);
  const out = {};
  await lab.withGateways({ worker: { step_us: 1000, content_tokens: kTokens, sequences_max: 2 * kOurClients } }, async (it) => {
    const plan = { ports: it.ports, tenants: [it.tenant], body, watched: it.watched };
    out.tidegate = await figures(lab, 'tidegate', plan, kOurClients,
      (rate) => half(lab, { body }, rate, (cpus, each) => direct(cpus, it.worker, each)), () => it.gateway.settled());
    if (Math.abs(out.tidegate.tokens - kTokens) > 0.5) throw new Error(`answers had ${out.tidegate.tokens} tokens, not ${kTokens}`);
  });
  await lab.withPeers({ upstream: { frames: kTokens, frame_ms: 20 } }, {
    direct: async (port) => (rate) => half(lab, { ports: [port], body }, rate),
    peer: async (peer, floor) => {
      const plan = { ports: [peer.port], body, headers: peer.headers, tenants: [{ name: 'all', key: 'bench' }], watched: [{ name: peer.name, pid: peer.pid }] };
      out[peer.name] = await figures(lab, peer.name, plan, kPeerClients, floor);
    },
    skipped: (name, why) => { out[name] = null; note(`${name} not run: ${why}`); },
  });
  const of = (key) => Object.fromEntries(Object.entries(out).map(([name, each]) => [name, each ? each[key] : 'not run']));
  const add = (what, unit, key, goal) => row('nonstream', what, unit, { ...of(key), goal });
  add('requests at saturation', '1/s', 'perSecond');
  row('nonstream', "the same, to Portkey's", 'x', { goal: kGoals.ratio, tidegate: out.Portkey ? out.tidegate.perSecond / out.Portkey.perSecond : 'not run' });
  add('CPU a request', 'us', 'cpu', kGoals.cpu);
  row('nonstream', 'one core at that CPU would take', '1/s', Object.fromEntries(Object.entries(of('cpu')).map(([name, us]) => [name, typeof us === 'number' ? 1e6 / us : us])));
  add('whole answer p50 (ours: 64 ms of steps)', 'ms', 'p50');
  add('whole answer p99 (ours: 64 ms of steps)', 'ms', 'p99');
  add('added to the first byte, p99, half load', 'ms', 'added');
  add('resident memory', 'MiB', 'rss');
  add('cores busy at saturation', '', 'cores');
  note(`nonstream: closed loop, ${kOurClients} clients on ours and ${kPeerClients} on each peer; half load is open loop, and "added" is the difference of two p99`);
}
