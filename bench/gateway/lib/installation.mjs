// One private installation for the bench: the real billing, scheduler, PostgreSQL and Redis, gateways with everything on,
// and workers that cost little. Gateways run on the measured core, everything else on the others.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pinned, stop } from './processes.mjs';

const kTmpfs = 0x01021994;
const parent = process.env.TIDEGATE_BENCH_VAR ?? os.tmpdir();
process.env.TIDEGATE_VAR = fs.mkdtempSync(path.join(parent, 'tidegate-bench-'));
const { freeRange, root, stack, until } = await import('../../../tests/e2e/stack.mjs');
export { freeRange, root, until };

export const folder = process.env.TIDEGATE_VAR;
const binaries = process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin');
export const binary = (name) => path.join(binaries, name);
const say = (text) => process.stderr.write(`${text}\n`);

const kPrograms = ['tidegate', 'tidegate-billing', 'tidegate-scheduler', 'tidegate-gateway', 'tidegate-worker', 'tidegate-load',
  'tidegate-bench-upstream', 'tidegate-bench-worker', 'tidegate-bench-session'];

function build() {
  const missing = kPrograms.filter((name) => !fs.existsSync(binary(name)));
  if (missing.length === 0) return;
  if (process.env.TIDEGATE_BIN) throw new Error(`${binaries} lacks ${missing.join(', ')}`);
  const script = 'source "$0/deploy/lib/house.sh"; source "$0/deploy/lib/build.sh"; tg_build release "$@"';
  execFileSync('bash', ['-c', script, root, ...missing], { stdio: ['ignore', 2, 2] });
}

/** Starts billing, scheduler and their stores on `cpus`; the gateway and the model that deploy/up brings are taken away. */
export async function startInstallation(cpus) {
  build();
  fs.chmodSync(folder, 0o755);
  if (fs.statfsSync(folder).type === kTmpfs) say(`${folder} is in memory, where fsync costs nothing: set TIDEGATE_BENCH_VAR to a folder on a disk`);
  const http = await freeRange(7);
  Object.assign(process.env, {
    TIDEGATE_SOCKETS: path.join(folder, 's'), TIDEGATE_HTTP_PORT: String(http), TIDEGATE_GRPC_PORT: String(http + 1),
    TIDEGATE_ADMIN_PORT: String(http + 2), TIDEGATE_REST_PORT: String(http + 6), TIDEGATE_SKIP_BUILD: '1', TIDEGATE_BIN: binaries,
  });
  say(`starting PostgreSQL, Redis, billing and scheduler on CPU ${cpus}, in ${folder}`);
  const log = fs.openSync(path.join(folder, 'up.log'), 'w');
  try {
    execFileSync('taskset', ['-c', cpus, path.join(root, 'deploy/up')], { env: process.env, stdio: ['ignore', log, log] });
  } catch {
    throw new Error(`deploy/up failed:\n${fs.readFileSync(path.join(folder, 'up.log'), 'utf8').slice(-2000)}`);
  }
  await stack.cli('deploy', 'delete', 'tang-moe');
  await new Gateway('gateway', 0, 0).stop();
}

export function stopInstallation() {
  try {
    execFileSync(path.join(root, 'deploy/down'), { env: process.env, stdio: 'ignore' });
  } catch {
    say(`deploy/down failed; what is left is in ${folder}`);
    return;
  }
  if (process.env.TIDEGATE_KEEP) say(`kept: ${folder}`);
  else fs.rmSync(folder, { recursive: true, force: true });
}

const conf = (name) => path.join(folder, 'conf', `${name}.conf`);

/** A gateway of this installation with its own journal on the disk, everything switched on, on cores of its own. */
export class Gateway {
  constructor(name, port, adminPort) {
    Object.assign(this, { name, port, adminPort });
  }

  static async start(name, cpus, options = {}) {
    const port = await freeRange(3);
    const own = {
      'http.listen': `127.0.0.1:${port}`, 'grpc.listen': `127.0.0.1:${port + 1}`, 'admin.listen': `127.0.0.1:${port + 2}`,
      'gateway.id': name, 'journal.dir': path.join(folder, `journal-${name}`),
      'secrets.receipt_key_file': path.join(folder, 'secrets', `receipt_key-${name}`), 'io.threads': '1', ...options,
    };
    fs.mkdirSync(own['journal.dir'], { recursive: true });
    if (!fs.existsSync(own['secrets.receipt_key_file'])) {
      fs.writeFileSync(own['secrets.receipt_key_file'], await stack.cliText('receipt-key', 'mint'), { mode: 0o600 });
    }
    const kept = fs.readFileSync(conf('gateway'), 'utf8').split('\n').filter((line) => !(line.split(' = ')[0] in own));
    fs.writeFileSync(conf(name), [...kept, ...Object.entries(own).map(([key, value]) => `${key} = ${value}`), ''].join('\n'));
    const words = [name, path.join(folder, 'run'), path.join(folder, 'log', `${name}.log`), binary('tidegate-gateway'), `--config=${conf(name)}`];
    spawn('taskset', ['-c', cpus, path.join(root, 'deploy/lib/supervise'), ...words], { detached: true, stdio: 'ignore' }).unref();
    const gateway = new Gateway(name, port, port + 2);
    running.add(gateway);
    await until(`${name} to be ready`, 60, async () => (await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)).ok);
    return gateway;
  }

  get pid() {
    return stack.pid(this.name);
  }

  /** Nothing is under way and billing has heard of everything: what ran before costs what comes next nothing. */
  async settled() {
    await until(`${this.name} to have shipped everything`, 60, async () => {
      const text = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)).text();
      const value = (name) => Number(text.match(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm'))?.[1] ?? NaN);
      return value('tidegate_gateway_meter_open_requests') === 0 && value('tidegate_gateway_shipper_backlog_events') === 0;
    });
  }

  async stop() {
    running.delete(this);
    const supervisor = path.join(folder, 'run', `${this.name}.supervisor`);
    if (!fs.existsSync(supervisor)) return;
    fs.writeFileSync(path.join(folder, 'run', `${this.name}.stop`), '');
    process.kill(this.pid, 'SIGTERM');
    await until(`${this.name} to stop`, 60, () => !fs.existsSync(supervisor));
  }
}
const running = new Set();

/** Whatever a part left running when it failed. */
export async function stopRest() {
  for (const gateway of [...running]) await gateway.stop().catch((error) => say(`${gateway.name}: ${error.message}`));
  for (const worker of [...workers]) await worker.stop();
}

/** A customer with a key that the gateways know and more money than it can spend. */
export async function newTenant(name, gateways) {
  const unique = `${name}${Date.now().toString(36)}`;
  await stack.cli('tenant', 'create', unique);
  await stack.cli('project', 'create', 'main', '--tenant', unique);
  const { secret } = await stack.cli('key', 'create', '--tenant', unique, '--project', 'main');
  await stack.cli('wallet', 'top-up', unique, '100000');
  for (const { port } of gateways) {
    await until('the new key', 10, async () => (await fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { authorization: `Bearer ${secret}` } })).ok);
  }
  return { name: unique, key: secret };
}

export const cli = (...words) => stack.cli(...words);

export async function ask(port, key, body) {
  return fetch(`http://127.0.0.1:${port}/v1/chat/completions`,
    { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

const workers = new Set();

/** The worker of the bench, known to every gateway given. One at a time: all serve the same model. */
export class Worker {
  static async start({ cpus, gateways, tenant, ...options }) {
    const worker = new Worker();
    const log = path.join(folder, 'log', 'bench-worker.log');
    fs.rmSync(log, { force: true });
    const words = Object.entries(options).map(([key, value]) => `--${key}=${value}`);
    worker.child = pinned(cpus, binary('tidegate-bench-worker'), [
      `--scheduler.address=unix:${path.join(folder, 's', 'scheduler.sock')}`,
      `--cluster_token_file=${path.join(folder, 'secrets', 'cluster_token')}`, ...words], { log });
    workers.add(worker);
    worker.address = await until('the bench worker to listen', 20, () => {
      if (worker.child.exitCode !== null) throw new Error(fs.readFileSync(log, 'utf8'));
      return fs.readFileSync(log, 'utf8').match(/^[\d.]+:\d+$/m)?.[0];
    });
    for (const { port } of gateways) {
      await until('the bench worker to be reached', 30, async () => {
        const answer = await ask(port, tenant.key, { model: 'sim-fast', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] });
        await answer.text();
        return answer.ok;
      });
    }
    return worker;
  }

  get pid() {
    return this.child.pid;
  }

  async stop() {
    workers.delete(this);
    await stop(this.child);
  }
}
