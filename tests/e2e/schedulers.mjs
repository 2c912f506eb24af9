// The scheduler of the installation and others beside it: same database, same run folder, an address of their own. One
// leads, the others stand by.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { freeRange, root, stack, until } from './stack.mjs';

const conf = (name) => path.join(stack.folder, 'conf', `${name}.conf`);
const binary = () => path.join(process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin'), 'tidegate-scheduler');

/** A configuration file with some of its options replaced or added. */
function rewritten(text, own) {
  const kept = text.split('\n').filter((line) => line !== '' && !(line.split(' = ')[0] in own));
  return [...kept, ...Object.entries(own).map(([key, value]) => `${key} = ${value}`), ''].join('\n');
}

export class Scheduler {
  #before = null; // the first one's options, while they are changed

  constructor(name, adminPort) {
    Object.assign(this, { name, adminPort });
  }

  /** Where scheduler `name` listens, whether it runs or not. */
  static address(name) {
    return `unix:${path.join(process.env.TIDEGATE_SOCKETS, `${name}.sock`)}`;
  }

  /** The one that deploy/up started. */
  static first() {
    return new Scheduler('scheduler', stack.adminPort(1));
  }

  /** Another one under a supervisor of its own, that knows `peers` by name; resolves when it runs, leading or not. */
  static async standby(name, peers) {
    const port = await freeRange(1);
    fs.writeFileSync(conf(name), rewritten(fs.readFileSync(conf('scheduler'), 'utf8'), {
      'grpc.listen': Scheduler.address(name), 'admin.listen': `127.0.0.1:${port}`, 'rest.listen': '', 'scheduler.peers': peers.map(Scheduler.address).join(','),
    }));
    const words = [name, path.join(stack.folder, 'run'), path.join(stack.folder, 'log', `${name}.log`), binary(), `--config=${conf(name)}`];
    spawn(path.join(root, 'deploy/lib/supervise'), words, { detached: true, stdio: 'ignore' }).unref();
    const scheduler = new Scheduler(name, port);
    await until(`${name} to run`, 60, async () => (await scheduler.metric('tidegate_scheduler_is_leader')) >= 0);
    return scheduler;
  }

  get address() {
    return Scheduler.address(this.name);
  }

  pid() {
    return stack.pid(this.name);
  }

  supervisor() {
    return Number(fs.readFileSync(path.join(stack.folder, 'run', `${this.name}.supervisor`), 'utf8'));
  }

  /** The sum of a metric over its labels; NaN while nobody answers. */
  async metric(family) {
    try {
      const text = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`, { signal: AbortSignal.timeout(5000) })).text();
      const values = [...text.matchAll(new RegExp(`^${family}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].map(([, value]) => Number(value));
      return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0);
    } catch {
      return NaN;
    }
  }

  async leads() {
    return (await this.metric('tidegate_scheduler_is_leader')) === 1;
  }

  /** As stack.cli, asked of this scheduler. */
  async cli(...words) {
    const file = path.join(stack.folder, 'conf', `endpoint-${this.name}.json`);
    fs.writeFileSync(file, JSON.stringify({ ...stack.endpoint, scheduler: this.address }), { mode: 0o600 });
    return stack.cli(...words, '--endpoint', file);
  }

  /** Ends as for an upgrade, and its next life leads (nobody else may stand by). `own` replaces options of it. */
  async restart(own = null) {
    if (own) {
      this.#before ??= fs.readFileSync(conf(this.name), 'utf8');
      fs.writeFileSync(conf(this.name), rewritten(this.#before, own));
    }
    const pid = this.pid();
    process.kill(pid, 'SIGTERM');
    await until(`another ${this.name} to lead`, 60, async () => this.pid() !== pid && (await this.leads()));
  }

  /** With the options it had. */
  async restore() {
    if (this.#before === null) return;
    fs.writeFileSync(conf(this.name), this.#before);
    this.#before = null;
    await this.restart();
  }

  /** Ends for good, and gives its lease away. */
  async stop() {
    fs.writeFileSync(path.join(stack.folder, 'run', `${this.name}.stop`), '');
    process.kill(this.pid(), 'SIGTERM');
    await until(`${this.name} to stop`, 60, () => !fs.existsSync(path.join(stack.folder, 'run', `${this.name}.supervisor`)));
  }
}
