// The gRPC API as a client without our code meets it: HTTP/2 and protobuf by hand. And people at the scheduler.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import test from 'node:test';
import { pause } from './pace.mjs';
import { allUsage, kSlowness, patiently, settled, stack, until } from './stack.mjs';

const unique = () => `g${Date.now().toString(36)}${Math.floor(Math.random() * 1e4)}`;

const varint = (number) => {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return Buffer.from([...bytes, number]);
};
const field = (number, bytes) => Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
const text = (number, words) => field(number, Buffer.from(words));
const integer = (number, value) => Buffer.concat([varint(number * 8), varint(value)]);

const chatRequest = (words, maxTokens = 6) => Buffer.concat([
  text(1, 'tang-moe'), field(2, Buffer.concat([text(1, 'user'), text(2, words)])), field(3, integer(5, maxTokens))]);

/** A message's fields: number to its last value (a number, or bytes). `all` gets every value of each. */
function fields(bytes, all = {}) {
  const out = {};
  let at = 0;
  const read = () => {
    let [value, scale] = [0, 1];
    for (;; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = read();
    const number = Math.floor(tag / 8);
    if (tag % 8 === 0) {
      out[number] = read();
    } else {
      assert.equal(tag % 8, 2, 'varints and bytes are all there is');
      const size = read();
      out[number] = bytes.subarray(at, at + size);
      at += size;
    }
    (all[number] ??= []).push(out[number]);
  }
  return out;
}

function messages(body) {
  const out = [];
  for (let at = 0; at < body.length;) {
    const size = body.readUInt32BE(at + 1);
    out.push(body.subarray(at + 5, at + 5 + size));
    at += 5 + size;
  }
  return out;
}

/** One call: metadata before and after, messages, and of Chat the text that its events add up to. */
function callOnce(message, metadata = {}, method = 'Chat') {
  const session = http2.connect(`http://${stack.endpoint.grpc}`);
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const call = session.request({
      ':method': 'POST', ':path': `/tidegate.v1.Inference/${method}`, 'content-type': 'application/grpc', te: 'trailers',
      authorization: `Bearer ${stack.apiKey}`, ...metadata });
    const parts = [];
    let [initial, trailing] = [{}, {}];
    call.setTimeout(60_000, () => reject(new Error('no answer in a minute')));
    call.on('response', (headers) => { initial = headers; });
    call.on('trailers', (headers) => { trailing = headers; });
    call.on('data', (part) => parts.push(part));
    call.on('error', reject);
    call.on('end', () => {
      const all = { ...initial, ...trailing }; // an error without events has all of it in one block
      const heard = messages(Buffer.concat(parts));
      if (method !== 'Chat') return resolve({ initial, all, status: Number(all['grpc-status']), messages: heard });
      const events = heard.map((event) => fields(event));
      return resolve({
        initial, all, status: Number(all['grpc-status']), events,
        text: events.map((event) => (event[2] ? `${fields(event[2])[1] ?? ''}${fields(event[2])[2] ?? ''}` : '')).join(''),
      });
    });
    call.end(Buffer.concat([Buffer.from([0]), Buffer.from([message.length >>> 24, message.length >>> 16, message.length >>> 8, message.length].map((byte) => byte & 255)), message]));
  }).finally(() => session.close());
}

/** The same, asked again when billing or Redis did not answer in time, as `patiently` does. */
async function call(message, metadata, method) {
  for (let left = kSlowness > 1 ? 30 : 0; ; --left) {
    const answer = await callOnce(message, metadata, method);
    const reason = answer.all['tidegate-reason'] ?? '';
    const isAway = ['billing_unreachable', 'idempotency_unavailable'].includes(reason);
    if (left === 0 || (!isAway && (left === 30 || reason !== 'idempotency_in_flight'))) return answer;
    await pause(1000);
  }
}

const chat = (message, metadata) => call(message, metadata);

test('an answer names its request, its band and its cost', async () => {
  const answer = await chat(chatRequest('hello'));
  assert.equal(answer.status, 0, answer.all['grpc-message']);
  const accepted = fields(answer.events[0][1]);
  assert.equal(answer.initial['x-request-id'], String(accepted[1]));
  assert.ok(answer.initial['x-tidegate-price-band'], 'the band is metadata');
  const finished = fields(answer.events.at(-1)[3]);
  assert.equal(String(fields(finished[3])[3]), answer.initial['x-tidegate-price-band']);
  assert.match(String(fields(finished[3])[1]), /^\d+\.\d+$/);
  assert.ok(finished[4].length > 0, 'a receipt');
});

test('what CountTokens says is what Chat is charged for', async () => {
  const counted = await call(chatRequest('写一首关于月的五言绝句。'), {}, 'CountTokens');
  assert.equal(counted.status, 0, counted.all['grpc-message']);
  const answer = await chat(chatRequest('写一首关于月的五言绝句。'));
  assert.equal(fields(counted.messages[0])[1], fields(fields(answer.events.at(-1)[3])[2])[1]);
});

test('a repeat with its Idempotency-Key is the same answer, charged once', async () => {
  const key = unique();
  const message = chatRequest(`once ${key}`);
  const first = await chat(message, { 'idempotency-key': key });
  assert.equal(first.status, 0, first.all['grpc-message']);
  assert.equal(first.initial['idempotent-replayed'], undefined);
  const repeat = await chat(message, { 'idempotency-key': key });
  assert.equal(repeat.status, 0, repeat.all['grpc-message']);
  assert.equal(repeat.initial['idempotent-replayed'], 'true');
  assert.equal(repeat.initial['x-request-id'], first.initial['x-request-id']);
  assert.equal(repeat.text, first.text);
  assert.deepEqual(repeat.events.at(-1), first.events.at(-1), 'usage, cost and receipt');
  const other = await chat(chatRequest('another'), { 'idempotency-key': key });
  assert.equal(other.status, 3);
  assert.equal(other.all['tidegate-reason'], 'idempotency_mismatch');
  await settled();
  const rows = (await allUsage()).filter((row) => row.event.request_id === first.initial['x-request-id']);
  assert.equal(rows.length, 1);
});

test('one key over HTTP and gRPC is two requests under one name', async () => {
  const key = unique();
  const first = await patiently(`${stack.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${stack.apiKey}`, 'Content-Type': 'application/json', 'Idempotency-Key': key },
    body: JSON.stringify({ model: 'tang-moe', messages: [{ role: 'user', content: 'hello' }], max_tokens: 6 }),
  });
  assert.equal(first.status, 200);
  await first.text();
  assert.equal((await chat(chatRequest('hello'), { 'idempotency-key': key })).all['tidegate-reason'], 'idempotency_mismatch');
});

test('a stranger hears why, and that coming back does not help', async () => {
  const refused = await chat(chatRequest('hello'), { authorization: 'Bearer nonsense' });
  assert.equal(refused.status, 16);
  assert.equal(refused.all['tidegate-reason'], 'invalid_api_key');
  assert.ok(refused.all['x-request-id']);
  assert.equal(refused.all['x-should-retry'], 'false');
  assert.equal(refused.all['retry-after-ms'], undefined);
});

test('vectors are those of HTTP, charged and repeated as there', async (t) => {
  const model = 'tang-distill-qwen2';
  const texts = ['床前明月光', 'moon over the river'];
  const overHttp = () => patiently(`${stack.origin}/v1/embeddings`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${stack.apiKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model, input: texts }),
  });
  await stack.cli('deploy', 'apply', model, '--model', model, '--variant', 'bf16');
  t.after(() => stack.cli('deploy', 'delete', model));
  const http = await until(`${model} to serve`, 60, async () => {
    const response = await overHttp();
    return response.status === 200 && response.json();
  });
  const message = Buffer.concat([text(1, model), ...texts.map((words) => field(2, text(1, words)))]);
  const key = unique();
  const answer = await call(message, { 'idempotency-key': key }, 'Embed');
  assert.equal(answer.status, 0, answer.all['grpc-message']);
  const all = {};
  const said = fields(answer.messages[0], all);
  const vectors = all[3].map((vector) => {
    const floats = fields(vector)[1];
    return Array.from({ length: floats.length / 4 }, (_, i) => floats.readFloatLE(4 * i));
  });
  assert.deepEqual(vectors, http.data.map(({ embedding }) => embedding.map(Math.fround)));
  assert.equal(String(said[1]), answer.initial['x-request-id']);
  assert.equal(String(said[2]), `${model}/bf16`);
  assert.equal(fields(said[4])[1], http.usage.prompt_tokens);
  assert.ok(said[6].length > 0, 'a receipt');
  const repeat = await call(message, { 'idempotency-key': key }, 'Embed');
  assert.equal(repeat.initial['idempotent-replayed'], 'true');
  assert.deepEqual(repeat.messages, answer.messages);
  await settled();
  const rows = (await allUsage()).filter(({ event }) => event.request_id === answer.initial['x-request-id']);
  assert.deepEqual(rows.map(({ event }) => [event.surface, event.amount]), [['grpc.embeddings', String(fields(said[5])[1])]]);
  const refused = await call(Buffer.concat([text(1, 'tang-moe'), field(2, text(1, 'x'))]), {}, 'Embed');
  assert.equal(refused.status, 3);
  assert.equal(refused.all['tidegate-reason'], 'embeddings_unsupported');
});

test('the fleet knows the keys of people', async () => {
  const file = path.join(stack.folder, 'viewer.key');
  const { secret, key } = await stack.cli('admin-key', 'create', '--role', 'viewer', '--name', unique());
  fs.writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  const seen = await stack.cli('deploy', 'list', '--token-file', file);
  assert.ok(seen.deployments.length > 0);
  await assert.rejects(stack.cli('deploy', 'delete', 'nothing-of-that-name', '--token-file', file), /role_not_allowed/);
  await assert.rejects(stack.cli('deploy', 'delete', 'nothing-of-that-name'), /unknown_deployment/, 'the operator may');
  await stack.cli('admin-key', 'revoke', key.public_id);
  fs.writeFileSync(file, 'tga_mistyped\n');
  await assert.rejects(stack.cli('deploy', 'list', '--token-file', file), /bad_token/);
});
