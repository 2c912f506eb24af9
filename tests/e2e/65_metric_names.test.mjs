// Metric names are an API: every family of every process, against tests/golden/metrics.txt.
// TIDEGATE_REWRITE_GOLDEN=1 rewrites the file; the difference is then reviewed like any change of an API.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { root, stack, until } from './stack.mjs';

const golden = path.join(root, 'tests/golden/metrics.txt');

async function families(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return [...text.matchAll(/^# TYPE (tidegate_\S+) (\S+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
}

test('every metric family is the golden one', async () => {
  const found = await until('every process to answer', 20, async () => {
    const workers = JSON.parse(fs.readFileSync(path.join(stack.folder, 'workers/prometheus_sd.json'), 'utf8'));
    const ports = [0, 1, 2].map((index) => stack.adminPort(index)).concat(workers.flatMap((each) => each.targets).map((target) => target.split(':').pop()));
    return [...new Set((await Promise.all(ports.map(families))).flat())].sort();
  });
  if (process.env.TIDEGATE_REWRITE_GOLDEN) fs.writeFileSync(golden, `${found.join('\n')}\n`);
  assert.deepEqual(found, fs.readFileSync(golden, 'utf8').trim().split('\n'));
  assert.ok(found.length > 60, `${found.length} families`);
});
