// One private installation for the end-to-end tests: its own folder, its own ports, the release binaries.
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);

/**
 * The first of `count` consecutive free ports, below those that connections are given: a program that was killed finds
 * its own free when it is back, and who asks for it meanwhile is not connected to himself.
 */
export async function freeRange(count) {
  for (;;) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => new Promise((resolve) => {
      const server = net.createServer();
      server.on('error', () => resolve(false));
      server.listen(first + i, '127.0.0.1', () => server.close(() => resolve(true)));
    })));
    if (free.every(Boolean)) return first;
  }
}

/** A small disk of its own for the gateway's journal, so that a test can fill it; needs the right to mount. */
function mountJournalDisk(folder) {
  const journal = path.join(folder, 'journal');
  fs.mkdirSync(journal);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tidegate-journal', journal], { stdio: 'ignore' });
    return '1';
  } catch {
    return '';
  }
}

/** Starts an installation; resolves to its environment. */
export async function startStack() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-e2e-'));
  fs.chmodSync(folder, 0o755);
  const http = await freeRange(7);
  const [grpc, admin] = [http + 1, http + 2];
  const env = {
    ...process.env,
    TIDEGATE_VAR: folder,
    TIDEGATE_SOCKETS: path.join(folder, 's'),
    TIDEGATE_HTTP_PORT: String(http),
    TIDEGATE_GRPC_PORT: String(grpc),
    TIDEGATE_ADMIN_PORT: String(admin),
    TIDEGATE_REST_PORT: String(http + 6),
    TIDEGATE_SKIP_BUILD: '1',
    TIDEGATE_JOURNAL_DISK: mountJournalDisk(folder),
  };
  const up = () => execFileSync(path.join(root, 'deploy/up'), { env, stdio: ['ignore', 'inherit', 'inherit'] });
  try {
    up();
  } catch {
    up(); // it has limits in time of its own, and doubles nothing
  }
  return env;
}

export function stopStack(env) {
  execFileSync(path.join(root, 'deploy/down'), { env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (env.TIDEGATE_JOURNAL_DISK) execFileSync('umount', ['--lazy', path.join(env.TIDEGATE_VAR, 'journal')]);
}

/** The stack that tests/e2e/run started for this test file. */
export const stack = (() => {
  const folder = process.env.TIDEGATE_VAR;
  if (!folder) throw new Error('run the end-to-end tests through tests/e2e/run');
  const endpoint = () => JSON.parse(fs.readFileSync(path.join(folder, 'endpoint.json'), 'utf8'));
  const binary = path.join(process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin'), 'tidegate');
  return {
    folder,
    get endpoint() { return endpoint(); },
    get baseUrl() { return endpoint().base_url; },
    get origin() { return new URL(endpoint().base_url).origin; },
    get httpPort() { return Number(process.env.TIDEGATE_HTTP_PORT); },
    adminPort: (index) => Number(process.env.TIDEGATE_ADMIN_PORT) + index,
    get restUrl() { return `http://127.0.0.1:${process.env.TIDEGATE_REST_PORT}/v1/tidegate`; },
    get apiKey() { return endpoint().api_key; },

    /** Runs the command line and parses its --json answer. */
    async cli(...words) {
      const { stdout } = await run(binary, [...words, '--json'], { env: process.env, maxBuffer: 256 << 20 });
      return stdout.trim() === '' ? null : JSON.parse(stdout);
    },
    /** As cli(), without --json. */
    async cliText(...words) {
      return (await run(binary, words, { env: process.env, maxBuffer: 64 << 20 })).stdout;
    },
    pid(name) { return Number(fs.readFileSync(path.join(folder, 'run', `${name}.pid`), 'utf8')); },
    workerPids() {
      const workers = path.join(folder, 'workers');
      return fs.readdirSync(workers).filter((file) => file.endsWith('.pid'))
        .map((file) => parseInt(fs.readFileSync(path.join(workers, file), 'utf8'), 10)).filter(Number.isFinite);
    },
    spawn,
  };
})();

/** Programs with sanitizers are several times slower, and so is all the noise: the factor of limits and bounds. */
export const kSlowness = (() => {
  try {
    const maps = fs.readFileSync(`/proc/${stack.pid('gateway')}/maps`, 'utf8');
    if (/lib(asan|tsan|ubsan)/.test(maps)) return 4;
  } catch { /* by its name, then */ }
  return /build\/(dev|tsan)\/bin/.test(process.env.TIDEGATE_BIN ?? '') ? 4 : 1;
})();
/** They are tested on machines that do something else, too, where any process may stand still for so long. */
export const kStallMs = kSlowness > 1 ? 3000 : 0;
/** A bound in milliseconds of the Release build, for the programs that are tested. */
export const bound = (ms) => ms * kSlowness + kStallMs;

/**
 * fetch, for who shows something other than an outage: on such a machine what was refused because billing or Redis did
 * not answer in time is asked again. An Idempotency-Key that may have been claimed in spite of it is under way until the
 * gateway lets it go.
 */
export async function patiently(...args) {
  for (let left = kSlowness > 1 ? 30 : 0; ; --left) {
    const response = await fetch(...args);
    if (left === 0 || (response.status !== 503 && response.status !== 409)) return response;
    const text = await response.clone().text();
    const isAway = /"(billing_unreachable|idempotency_unavailable)"/.test(text);
    if (!isAway && (left === 30 || !text.includes('"idempotency_in_flight"'))) return response;
    await new Promise((done) => setTimeout(done, 1000));
  }
}

/** Polls until `probe` gives something true; fails after `seconds`, of the Release build. */
export async function until(what, seconds, probe) {
  const deadline = Date.now() + seconds * 1000 * kSlowness;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${seconds * kSlowness} s for ${what}; last: ${last}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Decimal text to pico-units. */
export function pico(text) {
  const negative = text.startsWith('-');
  const [whole, fraction = ''] = text.replace('-', '').split('.');
  const value = BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, '0'));
  return negative ? -value : value;
}

/** Every usage row, oldest last, through the paged list. */
export async function allUsage(...filters) {
  const rows = [];
  let after = '';
  for (;;) {
    const page = await stack.cli('usage', '--limit', '1000', ...(after ? ['--after', after] : []), ...filters);
    rows.push(...page.rows);
    if (page.rows.length < 1000) return rows;
    after = page.rows.at(-1).event.request_id;
  }
}

export async function wallet(tenant = 'demo') {
  return (await stack.cli('wallet', 'show', tenant)).wallets[0];
}

/** Nothing is under way any more at these gateways (the first one), and all of it is shipped. */
export async function settled(adminPorts = [stack.adminPort(2)]) {
  for (const port of adminPorts) {
    await until('the gateway to have shipped everything', 60, async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const value = (name) => Number(text.match(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm'))?.[1] ?? NaN);
      return value('tidegate_gateway_meter_open_requests') === 0 && value('tidegate_gateway_shipper_backlog_events') === 0;
    });
  }
}
