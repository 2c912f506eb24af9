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

  /** Another one, under a supervisor that brings it back after a crash; `more` are options it has besides. */
  static async start(name, more = {}) {
    const port = await freeRange(3);
    const own = {
      'http.listen': `127.0.0.1:${port}`, 'grpc.listen': `127.0.0.1:${port + 1}`, 'admin.listen': `127.0.0.1:${port + 2}`,
      'gateway.id': name, 'journal.dir': path.join(stack.folder, `journal-${name}`),
      'secrets.receipt_key_file': path.join(stack.folder, 'secrets', `receipt_key-${name}`), // each gateway has its own
    };
    fs.mkdirSync(own['journal.dir']);
    fs.writeFileSync(own['secrets.receipt_key_file'], await stack.cliText('receipt-key', 'mint'), { mode: 0o600 });
    fs.writeFileSync(conf(name), fs.readFileSync(conf('gateway'), 'utf8').split('\n').map((line) => {
      const key = line.split(' = ')[0];
      return key in own ? `${key} = ${own[key]}` : line;
    }).concat(Object.entries(more).map(([key, value]) => `${key} = ${value}`), '').join('\n'));
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

  pid() {
    return stack.pid(this.name);
  }

  async ready() {
    await until(`${this.name} to be ready`, 60, async () => (await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)).ok);
  }

  /** Ends for good: drains, ships what it has, returns its leases. */
  async stop() {
    fs.writeFileSync(path.join(stack.folder, 'run', `${this.name}.stop`), '');
    process.kill(this.pid(), 'SIGTERM');
    await until(`${this.name} to stop`, 60, () => !fs.existsSync(path.join(stack.folder, 'run', `${this.name}.supervisor`)));
  }
}
