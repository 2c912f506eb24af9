// Workers beside those of the installation: replicas of the simulated engine, whose pace a test chooses, as processes
// that can be found by their pids.
import fs from 'node:fs';
import path from 'node:path';
import { stack, until } from './stack.mjs';

export const kSim = 'sim-fast';

const records = () => path.join(stack.folder, 'workers');

/** Every replica that has a record: { replica, pid, deployment }. */
export function replicas() {
  return fs.readdirSync(records()).filter((file) => file.endsWith('.pid')).flatMap((file) => {
    try {
      // pid start_ticks term deployment model spec_digest admin_address
      const words = fs.readFileSync(path.join(records(), file), 'utf8').trim().split(' ');
      return [{ replica: file.slice(0, -'.pid'.length), pid: Number(words[0]), deployment: words[3] }];
    } catch {
      return []; // taken away meanwhile
    }
  });
}

/**
 * The worker processes there really are, whatever the records say: { pid, replica, deployment, admin } of every process of
 * this installation that was started as a worker and has not ended.
 */
export function workerProcesses() {
  return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).flatMap((pid) => {
    try {
      const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'); // empty once it has ended
      if (path.basename(words[0]) !== 'tidegate-worker' || !words.some((word) => word.includes(stack.folder))) return [];
      const option = (name) => words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
      return [{ pid: Number(pid), replica: option('replica'), deployment: option('deployment'), admin: option('admin.listen') }];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

const deployments = async () => (await stack.cli('deploy', 'list')).deployments ?? [];

/** True once the gateway at `baseUrl` has a route to `model`. */
async function isServed(model, baseUrl) {
  const answer = await fetch(`${baseUrl}/models`, { headers: { Authorization: `Bearer ${stack.apiKey}` } });
  const found = (await answer.json()).data?.find(({ id }) => id === model);
  return (found?.context_length ?? 0) > 0;
}

/** A deployment of the simulated engine. One at a time: the next waits until the last one's workers are gone. */
export class Fleet {
  constructor(name, count) {
    Object.assign(this, { name, count });
  }

  /**
   * `options` are the worker's own, e.g. { 'sim.step_ms': 10 }; `gateways` the base URLs that must know it.
   * `sequences` is how many answers a replica writes at once.
   */
  static async start(name, { count = 1, sequences = 64, options = {}, gateways = [stack.baseUrl] } = {}) {
    await until(`earlier deployments of ${kSim} to be gone`, 90, async () => {
      const others = (await deployments()).filter((each) => each.model === kSim && each.name !== name).map((each) => each.name);
      return others.length === 0 && replicas().every((each) => each.deployment === 'tang-moe' || each.deployment === name);
    });
    const words = Object.entries(options).map(([key, value]) => `${key}=${value}`).join(',');
    await stack.cli('deploy', 'apply', name, '--model', kSim, '--variant', 'sim', '--replicas', String(count),
      '--sequences', String(sequences), ...(words ? ['--options', words] : []));
    const fleet = new Fleet(name, count);
    try {
      await fleet.ready();
      for (const baseUrl of gateways) await until(`a route to ${kSim} at ${baseUrl}`, 30, () => isServed(kSim, baseUrl));
    } catch (error) {
      await stack.cli('deploy', 'delete', name);
      throw error;
    }
    return fleet;
  }

  /** Every replica serves. */
  ready() {
    return until(`${this.count} replicas of ${this.name}`, 60, async () =>
      ((await deployments()).find((each) => each.name === this.name)?.replicas_ready ?? 0) >= this.count);
  }

  pids() {
    return replicas().filter((each) => each.deployment === this.name).map((each) => each.pid);
  }

  async stop() {
    await stack.cli('deploy', 'delete', this.name);
    await until(`the workers of ${this.name} to end`, 90, () =>
      this.pids().length === 0 && !workerProcesses().some((each) => each.deployment === this.name));
  }
}
