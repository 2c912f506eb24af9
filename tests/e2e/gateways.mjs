// More gateways beside the one of the installation: same billing and scheduler, a journal and a receipt key of their own.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { freeRange, root, stack, until } from './stack.mjs';

const conf = (name) => path.join(stack.folder, 'conf', `${name}.conf`);
const binary = () => path.join(process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin'), 'tidegate-gateway');

/** One gateway: `name` is also the name of its pid file. */
export class Gateway {
  constructor(name, httpPort, adminPort) {
    Object.assign(this, { name, adminPort, baseUrl: `http://127.0.0.1:${httpPort}/v1` });
  }

  /** The one that deploy/up started. */
  static first() {
    return new Gateway('gateway', stack.httpPort, stack.adminPort(2));
  }

  /** Another one, under a supervisor that brings it back after a crash. `options` are its own, e.g. limits. */
  static async start(name, options = {}) {
    const port = await freeRange(3);
    const own = {
      'http.listen': `127.0.0.1:${port}`, 'grpc.listen': `127.0.0.1:${port + 1}`, 'admin.listen': `127.0.0.1:${port + 2}`,
      'gateway.id': name, 'journal.dir': path.join(stack.folder, `journal-${name}`),
      'secrets.receipt_key_file': path.join(stack.folder, 'secrets', `receipt_key-${name}`), // each gateway has its own
      ...options,
    };
    fs.mkdirSync(own['journal.dir']);
    fs.writeFileSync(own['secrets.receipt_key_file'], await stack.cliText('receipt-key', 'mint'), { mode: 0o600 });
    const kept = fs.readFileSync(conf('gateway'), 'utf8').split('\n').filter((line) => line !== '' && !(line.split(' = ')[0] in own));
    fs.writeFileSync(conf(name), [...kept, ...Object.entries(own).map(([key, value]) => `${key} = ${value}`), ''].join('\n'));
    const words = [name, path.join(stack.folder, 'run'), path.join(stack.folder, 'log', `${name}.log`), binary(), `--config=${conf(name)}`];
    spawn(path.join(root, 'deploy/lib/supervise'), words, { detached: true, stdio: 'ignore' }).unref();
    const gateway = new Gateway(name, port, port + 2);
    try {
      await gateway.ready();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** The file of its options. */
  get conf() {
    return conf(this.name);
  }

  pid() {
    return stack.pid(this.name);
  }

  async isReady() {
    try {
      return (await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)).ok;
    } catch {
      return false;
    }
  }

  async ready() {
    await until(`${this.name} to be ready`, 60, () => this.isReady());
  }

  /** Ends as for an upgrade: drains, and its supervisor starts the next life. Resolves when that one is ready. */
  async restart() {
    const pid = this.pid();
    process.kill(pid, 'SIGTERM');
    await until(`${this.name} to be another process`, 60, () => {
      const next = this.pid();
      return next && next !== pid;
    });
    await this.ready();
  }

  /** Ends for good: drains, ships what it has, returns its leases. */
  async stop() {
    fs.writeFileSync(path.join(stack.folder, 'run', `${this.name}.stop`), '');
    process.kill(this.pid(), 'SIGTERM');
    await until(`${this.name} to stop`, 60, () => !fs.existsSync(path.join(stack.folder, 'run', `${this.name}.supervisor`)));
  }
}
