// A real Prometheus scrapes a real run, and every panel of every dashboard returns data.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import OpenAI from 'openai';
import { patiently, root, stack, until } from './stack.mjs';

const freePort = () => new Promise((resolve) => {
  const server = net.createServer();
  server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
});

/** Grafana's own variables, as Grafana would fill them in for a five-second scrape. */
const fill = (expr) => expr.replaceAll('$__rate_interval', '10s').replaceAll('$__range', '1m').replaceAll('$__interval', '5s')
  .replaceAll(/\$\{?(\w+)(:\w+)?\}?/g, '.*');

function panels(dashboard) {
  const flat = (list) => list.flatMap((panel) => [panel, ...flat(panel.panels ?? [])]);
  return flat(dashboard.panels).filter((panel) => panel.targets?.length);
}

test('every panel query returns data from a real Prometheus over a real run', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-prom-'));
  const port = await freePort();
  // The shipped scrape configuration, with this installation's ports in place of the default ones.
  let config = fs.readFileSync(path.join(root, 'dashboards/prometheus.yml'), 'utf8').replaceAll(/scrape_interval: \S+/g, 'scrape_interval: 1s');
  for (let index = 0; index < 3; ++index) config = config.replaceAll(`127.0.0.1:${9101 + index}`, `127.0.0.1:${stack.adminPort(index)}`);
  config = config.replaceAll('TIDEGATE_WORKERS_SD', path.join(stack.folder, 'workers', 'prometheus_sd.json'))
    .replaceAll(/^(\s+- )rules\.yml$/gm, `$1${path.join(root, 'dashboards/rules.yml')}`);
  fs.writeFileSync(path.join(folder, 'prometheus.yml'), config);
  const server = spawn('prometheus', [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: ['ignore', 'ignore', fs.openSync(path.join(folder, 'log'), 'w')] });
  t.after(() => { server.kill('SIGKILL'); fs.rmSync(folder, { recursive: true, force: true }); });
  const query = async (expr) => {
    const answer = await (await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`)).json();
    if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
    return answer.data.result;
  };
  await until('Prometheus', 20, () => query('up'));
  await until('every target to be up', 30, async () => {
    const up = await query('up');
    return up.length >= 4 && up.every((each) => each.value[1] === '1');
  });

  // A run with something of everything: answers, thinking, refusals, a cancelled stream.
  let running = true;
  const client = new OpenAI({ apiKey: stack.apiKey, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently });
  const traffic = (async () => {
    for (let i = 0; running; ++i) {
      await client.chat.completions.create({ model: 'tang-moe', max_tokens: 12, messages: [{ role: 'user', content: 'hello' }] });
      await client.chat.completions.create({ model: 'no-such', messages: [{ role: 'user', content: 'x' }] }).catch(() => {});
      const stream = await client.chat.completions.create({ model: 'tang-moe', stream: true, messages: [{ role: 'user', content: 'hello' }] });
      for await (const chunk of stream) { if (i % 2 && chunk.choices[0]?.delta.reasoning_content) { stream.controller.abort(); break; } }
    }
  })();
  const files = fs.readdirSync(path.join(root, 'dashboards')).filter((file) => file.endsWith('.json'));
  assert.ok(files.length >= 2);
  let checked = 0;
  try {
    for (const file of files) {
      const dashboard = JSON.parse(fs.readFileSync(path.join(root, 'dashboards', file), 'utf8'));
      for (const panel of panels(dashboard)) {
        for (const target of panel.targets) {
          const expr = fill(target.expr);
          await until(`${file} "${panel.title}": ${expr}`, 30, async () => {
            const result = await query(expr);
            return result.length > 0 && result.some((each) => !Number.isNaN(Number(each.value[1])));
          });
          checked += 1;
        }
      }
    }
  } finally {
    running = false;
    await traffic;
  }
  console.log(`${files.length} dashboards, ${checked} panel queries, all with data`);
});
