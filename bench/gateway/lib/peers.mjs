// The gateways beside which ours is measured, each in front of the same made-up provider. None of them is part of
// Tidegate: they are fetched into a scratch folder when they are missing, and a peer that cannot be had says why.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { pinned } from './processes.mjs';

export const kPortkey = '1.15.2';
const scratch = process.env.TIDEGATE_BENCH_PEERS ?? path.join(os.tmpdir(), 'tidegate-bench-peers');
const say = (text) => process.stderr.write(`${text}\n`);

const isListening = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

async function listening(what, port, child) {
  const deadline = Date.now() + 20_000;
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`${what} ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`${what} does not listen on ${port}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

function findNginx() {
  const known = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((file) => fs.existsSync(file));
  if (known) return known;
  if (process.getuid() !== 0) throw new Error('nginx is not installed, and installing it needs root');
  say('nginx is missing: installing the package nginx-light (its service is not started)');
  execFileSync('apt-get', ['install', '-q', '-y', '--no-install-recommends', 'nginx-light'],
    { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }, stdio: ['ignore', 'ignore', 'inherit'], timeout: 120_000 });
  return '/usr/sbin/nginx';
}

/** One process, one worker, connections to the provider kept open, nothing buffered and nothing logged. */
function nginxConfig(folder, port, upstreamPort) {
  return `
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log error;
events { worker_connections 16000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 1m;
  keepalive_requests 100000000;
  upstream provider { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=8192;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
`;
}

export async function startNginx({ folder, port, upstreamPort, cpus }) {
  const binary = findNginx();
  const own = path.join(folder, 'nginx');
  fs.mkdirSync(own, { recursive: true });
  const config = path.join(own, 'nginx.conf');
  fs.writeFileSync(config, nginxConfig(own, port, upstreamPort));
  // -e: without it nginx first tries the log of the system's installation.
  const child = pinned(cpus, binary, ['-e', path.join(own, 'nginx.log'), '-c', config, '-p', own], { log: path.join(own, 'output.log') });
  await listening('nginx', port, child);
  return { name: 'nginx', port, pid: child.pid, child, headers: {} };
}

function installPortkey() {
  const folder = path.join(scratch, `portkey-${kPortkey}`);
  const entry = path.join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (fs.existsSync(entry)) return entry;
  say(`Portkey ${kPortkey} is missing: npm install into ${folder}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{"private":true}\n');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', `@portkey-ai/gateway@${kPortkey}`],
    { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], timeout: 180_000 });
  return entry;
}

/**
 * What the unmodified package needs to be measured at all. It binds every interface, so listening is turned to loopback.
 * And with the dependencies npm resolves for it today every streamed answer is a 500: it appends to the headers of a
 * fetch answer, which are immutable; here that exception is swallowed. Nothing else of it is touched.
 */
const kPreload = `
const net = require('node:net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...words) {
  if (words[0] !== null && typeof words[0] === 'object' && 'port' in words[0]) words[0] = { ...words[0], host: '127.0.0.1' };
  else if (typeof words[0] === 'number') words.splice(1, typeof words[1] === 'string' ? 1 : 0, '127.0.0.1');
  return listen.apply(this, words);
};
for (const name of ['append', 'set', 'delete']) {
  const real = Headers.prototype[name];
  Headers.prototype[name] = function (...words) {
    try {
      return real.apply(this, words);
    } catch (error) {
      if (error instanceof TypeError && String(error.message).includes('immutable')) return undefined;
      throw error;
    }
  };
}
`;

export async function startPortkey({ folder, port, upstreamPort, cpus }) {
  const entry = installPortkey();
  const preload = path.join(folder, 'portkey-preload.cjs');
  fs.writeFileSync(preload, kPreload);
  const child = pinned(cpus, process.execPath, ['--require', preload, entry, `--port=${port}`, '--headless'],
    { log: path.join(folder, 'portkey.log'), env: { ...process.env, NODE_ENV: 'production' } });
  await listening('Portkey', port, child);
  return {
    name: 'Portkey', port, pid: child.pid, child,
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1` },
  };
}

/** Starts each peer that can be had: [{name, peer}] or [{name, why}]. */
export async function startPeers(names, options) {
  const start = { nginx: startNginx, Portkey: startPortkey };
  const out = [];
  for (const name of names) {
    try {
      out.push({ name, peer: await start[name]({ ...options, port: await options.freePort() }) });
    } catch (error) {
      out.push({ name, why: String(error.message ?? error).split('\n')[0] });
    }
  }
  return out;
}
