// Processes on the cores they are told.
import { spawn } from 'node:child_process';
import fs from 'node:fs';

/** Starts a program that may run on `cpus` (as taskset reads them) only; its output goes to `log`. */
export function pinned(cpus, binary, words, { log, env = process.env, detached = false } = {}) {
  const output = log ? fs.openSync(log, 'a') : 'ignore';
  const child = spawn('taskset', ['-c', cpus, binary, ...words], { env, detached, stdio: ['ignore', output, output] });
  if (log) fs.closeSync(output);
  child.on('error', () => {}); // seen by whoever waits for it to listen
  return child;
}

/** Runs a program on `cpus` to its end; its standard output. */
export function output(cpus, binary, words) {
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', cpus, binary, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let complaint = '';
    child.stdout.on('data', (piece) => { text += piece; });
    child.stderr.on('data', (piece) => { complaint += piece; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${binary}: ${complaint.trim() || `exit ${code}`}`))));
  });
}

export function ended(child) {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => { child.once('exit', resolve); });
}

/** Asks it to end, and after five seconds makes it. */
export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended(child);
  clearTimeout(force);
}
