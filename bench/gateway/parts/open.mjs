// 5,000 streams open at once: how much memory.
import { cpuMicros, load } from '../lib/load.mjs';
import { chat } from '../lib/lab.mjs';
import { note, row } from '../lib/table.mjs';

const kStreams = 5_000;
const kGoal = { most: 512 };
// Two tokens a second on each: memory is the question here, and 50 a second on all would be the question of `stream`.
const kStepMs = 500;
const kTokens = 10_000;

const fill = (lab, plan) => load(lab.cpus.others, {
  ...plan, stream: true, spacing: 'constant', connections_max: kStreams + 100, answer_max_ms: 600_000, drain_max_ms: 0,
  phases: [{ name: 'empty', ms: 500 }, { name: 'fill', ms: 5_000, rate: kStreams / 5 }, { name: 'settle', ms: 1_000 }, { name: 'hold', ms: lab.ms(3_000) }],
});

function figures(lab, name, measured) {
  const hold = measured.phase('hold');
  const own = name === 'tidegate' ? 'gateway' : name;
  lab.say(`${name}: ${hold.streams_open} streams open, ${Math.round(hold.token_events / hold.seconds)} token events/s`);
  if (hold.streams_open < kStreams || hold.token_events === 0) {
    const begun = measured.phase('fill');
    throw new Error(`only ${hold.streams_open} of ${kStreams} streams were open: ${begun.refused} refused, ${begun.failed} failed (${JSON.stringify(begun.statuses)})`);
  }
  const before = measured.phase('empty').processes[own].rss_mib;
  const rss = hold.processes[own].rss_mib;
  return { rss, each: ((rss - before) * 1024) / kStreams, cpu: cpuMicros(hold, own, hold.token_events) };
}

export async function open(lab) {
  const body = chat(kTokens, true);
  const out = {};
  await lab.withGateways({ worker: { step_us: kStepMs * 1000, content_tokens: kTokens, sequences_max: 2 * kStreams } }, async (it) => {
    out.tidegate = figures(lab, 'tidegate', await fill(lab, { ports: it.ports, tenants: [it.tenant], body, watched: it.watched }));
  });
  await lab.withPeers({ upstream: { frames: kTokens, frame_ms: kStepMs }, names: lab.peers.filter((name) => name === 'nginx') }, {
    peer: async (peer) => {
      const plan = { ports: [peer.port], body, tenants: [{ name: 'all', key: 'bench' }], watched: [{ name: peer.name, pid: peer.pid }] };
      out[peer.name] = figures(lab, peer.name, await fill(lab, plan));
    },
    skipped: (name, why) => { out[name] = null; note(`${name} not run: ${why}`); },
  });
  const of = (key) => Object.fromEntries(Object.entries(out).map(([name, each]) => [name, each ? each[key] : 'not run']));
  row('open', `resident memory, ${kStreams} streams open`, 'MiB', { ...of('rss'), goal: kGoal });
  row('open', 'of it for each stream', 'KiB', of('each'));
  row('open', 'CPU a token event', 'us', of('cpu'));
}
