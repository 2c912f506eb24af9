// A worker whose engine is another server: here one that speaks OpenAI's streaming API as a test tells it to. Its usage is
// billed, a usage that cannot be true is not, what it breaks off is an error, and who leaves is not answered any further.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test, { after, before } from 'node:test';
import OpenAI from 'openai';
import { freeRange, patiently, pico, root, stack, until } from './stack.mjs';

const kModel = 'sim-fast'; // its name and price here; the server has another name for it
const kTheirs = 'their/model-7b';
const kKey = 'sk-only-the-engine-knows';
const binary = path.join(process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin'), 'tidegate-worker');
const openai = () => new OpenAI({ apiKey: stack.apiKey, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently });
const ask = (extra = {}) => ({ model: kModel, messages: [{ role: 'user', content: 'write of the moon' }], max_tokens: 200, ...extra });

/** What the server does with the next request: text, usage, and where it stops. */
let behaviour = {};
let healthy = true;
let upstream;
let worker;
let adminPort;
const seen = [];
let left = 0;

const usage = (behave) => ({ prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, prompt_tokens_details: { cached_tokens: 4 }, ...behave.usage });

async function complete(body, response) {
  const behave = behaviour;
  if (behave.status) {
    response.writeHead(behave.status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: 'as told' } }));
    return;
  }
  response.on('close', () => { if (!response.writableFinished) left += 1; });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let written = 0;
  const running = () => body.stream_options.continuous_usage_stats && !behave.silentUsage
    ? { ...usage(behave), completion_tokens: Math.min(written, 5) } : null;
  const send = (delta, finish = null) => {
    if (delta.content) written += 1;
    response.write(`data: ${JSON.stringify({
      id: 'x', object: 'chat.completion.chunk', model: kTheirs, choices: [{ index: 0, delta, finish_reason: finish }], usage: running() })}\n\n`);
  };
  send({ role: 'assistant', content: '' });
  send({ reasoning_content: 'the moon...' });
  for (const [at, word] of ['moon', ' over', ' the', ' water', '.'].entries()) {
    send({ content: word });
    if (behave.killAfter === at) { response.destroy(); return; }
    if (behave.stallAfter === at) return;
  }
  send({}, 'stop');
  if (!behave.silentUsage) response.write(`data: ${JSON.stringify({ id: 'x', choices: [], usage: usage(behave) })}\n\n`);
  response.end('data: [DONE]\n\n');
}

function serve(request, response) {
  if (request.url === '/health') {
    response.writeHead(healthy ? 200 : 503).end();
  } else if (request.url === '/v1/models') {
    response.writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ object: 'list', data: [{ id: kTheirs, object: 'model', max_model_len: 4096 }] }));
  } else {
    let text = '';
    request.on('data', (piece) => { text += piece; });
    request.on('end', () => {
      const body = JSON.parse(text);
      seen.push({ url: request.url, authorization: request.headers.authorization, body });
      void complete(body, response);
    });
  }
}

async function metric(name, labels = '') {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `));
  return line ? Number(line.split(' ').at(-1)) : 0;
}

const billed = async (id) => (await until(`the bill of ${id}`, 20, async () => (await stack.cli('usage', '--request', id)).rows[0]));

before(async () => {
  upstream = http.createServer(serve);
  await new Promise((done) => upstream.listen(0, '127.0.0.1', done));
  const folder = path.join(stack.folder, 'external');
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'key'), kKey, { mode: 0o600 });
  adminPort = await freeRange(1);
  const sockets = process.env.TIDEGATE_SOCKETS;
  const options = {
    engine: 'external', model: kModel, variant: 'theirs', replica: 'external-0', sequences_max: 8,
    'external.url': `http://127.0.0.1:${upstream.address().port}/v1`, 'external.model': kTheirs, 'external.kind': 'vllm',
    'external.api_key_file': path.join(folder, 'key'), 'external.probe_ms': 100, 'external.silence_ms': 20000,
    'grpc.listen': `unix:${sockets}/external.sock`, 'admin.listen': `127.0.0.1:${adminPort}`,
    'scheduler.address': `unix:${sockets}/scheduler.sock`, 'billing.address': `unix:${sockets}/billing.sock`,
    'meter.dir': path.join(folder, 'meter'), cluster_token_file: path.join(stack.folder, 'secrets', 'cluster_token'),
  };
  const log = fs.openSync(path.join(stack.folder, 'log', 'external-worker.log'), 'w');
  worker = stack.spawn(binary, Object.entries(options).map(([key, value]) => `--${key}=${value}`), { stdio: ['ignore', log, log] });
  // Simulated replicas of other files may be on their way out: what counts is an answer of this engine's.
  await until('the worker behind the gateway', 60, async () => (await openai().chat.completions.create(ask())).id && seen.length > 0);
});

after(async () => {
  if (worker && worker.exitCode === null && worker.signalCode === null) {
    const gone = new Promise((done) => worker.once('exit', done));
    worker.kill('SIGTERM');
    await gone;
  }
  upstream?.closeAllConnections();
  await new Promise((done) => upstream.close(done));
});

test('an answer comes through with its thinking, is named honestly and billed as the engine says', async () => {
  behaviour = {};
  const { data, response } = await openai().chat.completions.create(ask({ temperature: 0.5, seed: 7 })).withResponse();
  assert.equal(data.choices[0].message.content, 'moon over the water.');
  assert.equal(data.choices[0].message.reasoning_content, 'the moon...');
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(data.usage.prompt_tokens, 11);
  assert.equal(data.usage.completion_tokens, 5);
  const { event, lines } = await billed(response.headers.get('x-request-id'));
  assert.equal(event.completion_tokens, 5);
  assert.equal(event.prompt_tokens, 11);
  assert.equal(event.cached_tokens, 4);
  assert.equal(event.variant, 'theirs');
  assert.equal(lines.reduce((sum, line) => sum + pico(line.amount), 0n), pico(data.usage.cost_details.amount));
  const { url, authorization, body } = seen.at(-1);
  assert.equal(url, '/v1/chat/completions');
  assert.equal(authorization, `Bearer ${kKey}`);
  assert.deepEqual([body.model, body.stream, body.stream_options.include_usage, body.temperature, body.seed],
    [kTheirs, true, true, 0.5, 7]);
});

test('a usage that cannot be true is not billed', async () => {
  behaviour = { usage: { prompt_tokens: 900000, completion_tokens: 180 } };
  const before_ = await metric('tidegate_worker_external_usage_checks_total', '{verdict="over"}');
  const { data, response } = await openai().chat.completions.create(ask()).withResponse();
  assert.ok(data.usage.completion_tokens <= 'the moon...moon over the water.'.length, JSON.stringify(data.usage));
  assert.ok(data.usage.prompt_tokens < 200, JSON.stringify(data.usage));
  const { event } = await billed(response.headers.get('x-request-id'));
  assert.equal(event.completion_tokens, data.usage.completion_tokens);
  await until('the worker to have counted it', 20, async () =>
    (await metric('tidegate_worker_external_usage_checks_total', '{verdict="over"}')) === before_ + 1);
  const log = path.join(stack.folder, 'log', 'external-worker.log');
  await until('the worker to have logged it', 20, () => fs.readFileSync(log, 'utf8').includes('external_usage_disagrees'));
});

test('a usage that never came is counted by the worker', async () => {
  behaviour = { silentUsage: true };
  const { usage: told } = await openai().chat.completions.create(ask());
  assert.ok(told.completion_tokens >= 1 && told.completion_tokens <= 31, JSON.stringify(told));
  await until('the worker to have counted it', 20, async () =>
    (await metric('tidegate_worker_external_usage_checks_total', '{verdict="missing"}')) >= 1);
});

test('an engine that dies in the middle of a stream is an error there, and not the end of the worker', async () => {
  behaviour = { killAfter: 2 };
  let text = '';
  await assert.rejects(async () => {
    for await (const chunk of await openai().chat.completions.create(ask({ stream: true }))) text += chunk.choices[0]?.delta.content ?? '';
  });
  assert.ok('moon over the water.'.startsWith(text), text);
  behaviour = {};
  assert.equal((await openai().chat.completions.create(ask())).choices[0].finish_reason, 'stop');
});

test('who leaves is not answered any further', async () => {
  behaviour = { stallAfter: 1 };
  const gone = left;
  const stream = await openai().chat.completions.create(ask({ stream: true }));
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  stream.controller.abort();
  await until('the engine to see its client leave', 5, () => left > gone);
  behaviour = {};
});

test('a request that the engine refuses is the client\'s to mend', async () => {
  behaviour = { status: 400 };
  const error = await openai().chat.completions.create(ask()).then(() => assert.fail('it went well'), (reason) => reason);
  assert.equal(error.status, 400);
  assert.match(error.message, /as told/);
  behaviour = {};
});

test('an engine that is not healthy gets nobody, and everybody again when it is', async () => {
  const readyz = async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status;
  healthy = false;
  await until('the worker to be unready', 10, async () => (await readyz()) === 503);
  healthy = true;
  await until('the worker to be ready', 10, async () => (await readyz()) === 200);
  await until('an answer', 20, async () => (await openai().chat.completions.create(ask())).id);
});
