// What every part needs: a gateway with a worker and a customer, and the peers before their provider.
import { Gateway, Worker, binary, folder, freeRange, newTenant, until } from './installation.mjs';
import { startPeers } from './peers.mjs';
import { pinned, stop } from './processes.mjs';
import fs from 'node:fs';
import path from 'node:path';

let gateways = 0;

export class Lab {
  /** `cpus`: {gateway, others}, as taskset reads them; `scale`: how much longer than the defaults everything runs. */
  constructor({ cpus, scale, peers }) {
    Object.assign(this, { cpus, scale, peers });
  }

  ms(milliseconds) {
    return Math.round(milliseconds * this.scale);
  }

  say(text) {
    process.stderr.write(`  ${text}\n`);
  }

  /** Runs `work` with `count` gateways, one worker and one customer, and takes gateways and worker away again. */
  async withGateways({ count = 1, gateway = {}, worker }, work) {
    const list = [];
    let engine;
    try {
      for (let i = 0; i < count; ++i) list.push(await Gateway.start(`bench-${++gateways}`, this.cpus.gateway, gateway));
      const tenant = await newTenant('bench', list);
      engine = await Worker.start({ cpus: this.cpus.others, gateways: list, tenant, ...worker });
      const watched = [...list.map(({ pid }, i) => ({ name: count === 1 ? 'gateway' : `gateway-${i + 1}`, pid })), { name: 'worker', pid: engine.pid }];
      return await work({ gateway: list[0], gateways: list, ports: list.map(({ port }) => port), tenant, worker: engine, watched });
    } finally {
      for (const each of list) await each.stop();
      if (engine) await engine.stop();
    }
  }

  /** Runs `work` with a provider and, one after the other, each peer before it; `skipped(name, why)` for those that cannot be had. */
  async withPeers({ upstream, names = this.peers }, { direct, peer, skipped }) {
    const log = path.join(folder, 'log', 'bench-upstream.log');
    fs.rmSync(log, { force: true });
    const provider = pinned(this.cpus.others, binary('tidegate-bench-upstream'),
      ['--listen=127.0.0.1:0', ...Object.entries(upstream).map(([key, value]) => `--${key}=${value}`)], { log });
    try {
      const upstreamPort = Number(await until('the provider to listen', 10, () => fs.readFileSync(log, 'utf8').match(/^127\.0\.0\.1:(\d+)$/m)?.[1]));
      const floor = direct ? await direct(upstreamPort) : undefined;
      for (const name of names) {
        const [started] = await startPeers([name], { folder, upstreamPort, cpus: this.cpus.gateway, freePort: () => freeRange(1) });
        if (started.why) {
          this.say(`${name}: not run: ${started.why}`);
          skipped(name, started.why);
          continue;
        }
        try {
          await peer(started.peer, floor);
        } catch (error) {
          this.say(`${name}: not run: ${error.message}`);
          skipped(name, error.message);
        } finally {
          await stop(started.peer.child);
        }
      }
    } finally {
      await stop(provider);
    }
  }
}

/** A chat request of the bench. */
export const chat = (maxTokens, stream, text = 'write a poem about the moon over the tide gate') => ({
  model: 'sim-fast', max_tokens: maxTokens, stream, ...(stream ? { stream_options: { include_usage: true } } : {}),
  messages: [{ role: 'user', content: text }],
});

/** Busy cores of a phase, for the reader who asks what was the limit. */
export const cores = (phase) => phase.cores_busy.map((busy) => `${Math.round(busy * 100)} %`).join(', ');
