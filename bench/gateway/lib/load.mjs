// Runs load plans (bench/load/README.md) and reads their figures.
import fs from 'node:fs';
import path from 'node:path';
import { binary, folder } from './installation.mjs';
import { output } from './processes.mjs';
import { note } from './table.mjs';

// Later than this the generator was short of CPU itself, and latencies are partly its own.
const kLateUsMax = 5_000;

let runs = 0;

function write(plan, body) {
  const name = path.join(folder, `plan-${++runs}`);
  fs.writeFileSync(`${name}.body`, typeof body === 'string' ? body : JSON.stringify(body));
  fs.writeFileSync(`${name}.json`, JSON.stringify({
    ...plan, phases: plan.phases.map((phase) => ({ ...phase, ms: Math.round(phase.ms) })), body_file: `${name}.body`,
  }));
  return `${name}.json`;
}

function read(text, plan) {
  const figures = JSON.parse(text);
  if (figures.late_us_max > kLateUsMax) {
    const rate = Math.max(...plan.phases.map((phase) => phase.rate ?? (phase.rates ?? []).reduce((sum, each) => sum + each, 0)));
    note(`the clients themselves were up to ${Math.round(figures.late_us_max / 1000)} ms late at ${Math.round(rate)} requests/s: read those latencies with care`);
  }
  figures.phase = (name) => figures.phases.find((phase) => phase.name === name);
  return figures;
}

/** Over HTTP. `targets` are ports; the rest of the plan as the README has it. */
export async function load(cpus, { ports, body, ...plan }) {
  const file = write({ targets: ports.map((port) => ({ host: '127.0.0.1', port })), tenants: [{ name: 'all' }], ...plan }, body);
  return read(await output(cpus, binary('tidegate-load'), [file]), plan);
}

/** The same plan spoken to the worker itself, as a gateway speaks to it: what a gateway cannot be faster than. */
export async function direct(cpus, worker, { body, ...plan }) {
  const file = write({ targets: [{ host: '127.0.0.1', port: 1 }], tenants: [{ name: 'all' }], ...plan }, body);
  const words = [`--plan=${file}`, `--worker=${worker.address}`, `--cluster_token_file=${path.join(folder, 'secrets', 'cluster_token')}`,
    `--max_tokens=${body.max_tokens}`];
  return read(await output(cpus, binary('tidegate-bench-session'), words), plan);
}

/** CPU microseconds of a process for each of `count` things in a phase. */
export const cpuMicros = (phase, name, count) => (count > 0 ? (phase.processes[name].cpu_seconds * 1e6) / count : NaN);

/** Ends the part when the load did not do what it should have: a figure of failing requests is no figure. */
export function mustAnswer(what, phase, share = 0.99) {
  const asked = phase.due - phase.unfinished;
  if (phase.answered >= share * asked && phase.answered > 0) return;
  throw new Error(`${what}: of ${phase.due} requests ${phase.answered} were answered, ${phase.refused} refused, ` +
    `${phase.failed} failed, ${phase.unfinished} not finished (statuses ${JSON.stringify(phase.statuses)})`);
}
