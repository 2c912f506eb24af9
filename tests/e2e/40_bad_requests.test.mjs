// Requests that are wrong in 40 and more ways: the right status, a JSON error that names the field, nothing leaks.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { kSlowness, stack, until } from './stack.mjs';

/** Sends raw bytes, returns status and parsed body of the first answer. */
function raw(bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(stack.httpPort, '127.0.0.1');
    const parts = [];
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer within 20 s')));
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (part) => {
      parts.push(part);
      const text = Buffer.concat(parts).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(text.match(/\r\ncontent-length: *(\d+)/i)?.[1] ?? NaN);
      if (Buffer.concat(parts).length >= end + 4 + length) socket.end();
    });
    socket.on('error', (error) => (parts.length ? finish() : reject(error)));
    socket.on('close', finish);
    function finish() {
      const all = Buffer.concat(parts);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) return reject(new Error(`no answer: ${all}`));
      const head = all.subarray(0, end).toString('latin1');
      let body;
      try { body = JSON.parse(all.subarray(end + 4).toString('utf8')); } catch { body = null; }
      resolve({ status: Number(head.split(' ')[1]), body, head });
    }
  });
}

const kPath = '/v1/chat/completions';
/** AddressSanitizer keeps freed memory back, 256 MiB at most, so that nobody uses it again. */
const kGrowthKb = kSlowness > 1 ? (256 + 8) * 1024 : 8 * 1024;
const good = { model: 'tang-moe', messages: [{ role: 'user', content: 'hello' }], max_tokens: 2 };

function post(body, { headers = {}, path = kPath, method = 'POST', key = stack.apiKey } = {}) {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const fields = { Host: 'x', 'Content-Type': 'application/json', 'Content-Length': text.length, ...(key && { Authorization: `Bearer ${key}` }), ...headers };
  const head = Object.entries(fields).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return raw(Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n`), text]));
}
const with_ = (change) => ({ ...good, ...change });
const framing = (head, body = '') => () => raw(`POST ${kPath} HTTP/1.1\r\n${head}\r\n${body}`);
const auth = () => `Authorization: Bearer ${stack.apiKey}\r\nContent-Type: application/json\r\n`;
const flip = (key) => key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');

/** name, request, expected status (or statuses), expected param or undefined */
const cases = [
  ['no Host', () => framing(`${auth()}Content-Length: 2\r\n`, '{}')(), 400],
  ['two Hosts', () => framing(`Host: a\r\nHost: b\r\n${auth()}Content-Length: 2\r\n`, '{}')(), 400],
  ['Transfer-Encoding with Content-Length', () => framing(`Host: a\r\n${auth()}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n`, '0\r\n\r\n')(), 400],
  ['Transfer-Encoding: xchunked', () => framing(`Host: a\r\n${auth()}Transfer-Encoding: xchunked\r\n`, '{}')(), 400],
  ['Transfer-Encoding: chunked, gzip', () => framing(`Host: a\r\n${auth()}Transfer-Encoding: chunked, gzip\r\n`, '{}')(), 400],
  ['Transfer-Encoding twice', () => framing(`Host: a\r\n${auth()}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n`, '0\r\n\r\n')(), 400],
  ['Content-Length twice, equal', () => framing(`Host: a\r\n${auth()}Content-Length: 2\r\nContent-Length: 2\r\n`, '{}')(), 400],
  ['Content-Length: 5, 5', () => framing(`Host: a\r\n${auth()}Content-Length: 5, 5\r\n`, '{}')(), 400],
  ['Content-Length: +2', () => framing(`Host: a\r\n${auth()}Content-Length: +2\r\n`, '{}')(), 400],
  ['Content-Length of 11 digits', () => framing(`Host: a\r\n${auth()}Content-Length: 00000000002\r\n`, '{}')(), [400, 413]],
  ['folded header', () => framing(`Host: a\r\nX-A: 1\r\n 2\r\n${auth()}Content-Length: 2\r\n`, '{}')(), 400],
  ['HTTP/1.0 with a body', () => raw(`POST ${kPath} HTTP/1.0\r\nHost: a\r\n${auth()}Content-Length: 2\r\n\r\n{}`), [400, 505]],
  ['65 header fields', () => framing(`Host: a\r\n${auth()}${Array.from({ length: 65 }, (_, i) => `X-${i}: 1\r\n`).join('')}Content-Length: 2\r\n`, '{}')(), [400, 431]],
  ['17 KiB of headers', () => framing(`Host: a\r\n${auth()}X-Long: ${'a'.repeat(17 * 1024)}\r\nContent-Length: 2\r\n`, '{}')(), [400, 431]],
  ['not JSON by its type', () => post(good, { headers: { 'Content-Type': 'text/plain' } }), 415],
  ['no content type', () => post(good, { headers: { 'Content-Type': null } }), 415],
  ['a body of 9 MiB', () => post('x', { headers: { 'Content-Length': 9 * 1024 * 1024 } }), 413],
  ['GET where POST belongs', () => raw(`GET ${kPath} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stack.apiKey}\r\n\r\n`), 405],
  ['an unknown path', () => post(good, { path: '/v1/nothing' }), 404],
  ['broken JSON', () => post('{"model":'), 400],
  ['JSON with text behind it', () => post(`${JSON.stringify(good)} extra`), 400],
  ['JSON nested 100 deep', () => post(`{"model":"tang-moe","messages":${'['.repeat(100)}${']'.repeat(100)}}`), 400],
  ['an array for a body', () => post('[]'), 400],
  ['an empty body', () => post(''), 400],
  ['invalid UTF-8', () => post(Buffer.concat([Buffer.from('{"model":"tang-moe","messages":[{"role":"user","content":"'), Buffer.from([0xff]), Buffer.from('"}]}')])), 400],
  ['no model', () => post(with_({ model: undefined })), 400, 'model'],
  ['model of the wrong type', () => post(with_({ model: 7 })), 400, 'model'],
  ['unknown model', () => post(with_({ model: 'tang-mo' })), 404, 'model'],
  ['no messages', () => post(with_({ messages: undefined })), 400, 'messages'],
  ['empty messages', () => post(with_({ messages: [] })), 400, 'messages'],
  ['messages not an array', () => post(with_({ messages: 'hi' })), 400, 'messages'],
  ['a message that is no object', () => post(with_({ messages: ['hi'] })), 400, 'messages[0]'],
  ['unknown role', () => post(with_({ messages: [{ role: 'robot', content: 'x' }] })), 400, 'messages[0].role'],
  ['no content', () => post(with_({ messages: [{ role: 'user' }] })), 400, 'messages[0].content'],
  ['content of the wrong type', () => post(with_({ messages: [{ role: 'user', content: 5 }] })), 400, 'messages[0].content'],
  ['an image part', () => post(with_({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://x' } }] }] })), 400, 'messages[0].content[0].type'],
  ['temperature too high', () => post(with_({ temperature: 2.1 })), 400, 'temperature'],
  ['temperature of the wrong type', () => post(with_({ temperature: 'hot' })), 400, 'temperature'],
  ['top_p of zero', () => post(with_({ top_p: 0 })), 400, 'top_p'],
  ['max_tokens of zero', () => post(with_({ max_tokens: 0 })), 400, 'max_tokens'],
  ['max_tokens beyond the context', () => post(with_({ max_tokens: 1_000_000 })), 400, 'max_tokens'],
  ['max_tokens negative', () => post(with_({ max_tokens: -5 })), 400, 'max_tokens'],
  ['n of a thousand', () => post(with_({ n: 1000 })), 400, 'n'],
  ['17 stop strings', () => post(with_({ stop: Array.from({ length: 17 }, (_, i) => `s${i}`) })), 400, 'stop'],
  ['stop of the wrong type', () => post(with_({ stop: [1] })), 400, 'stop[0]'],
  ['seed of the wrong type', () => post(with_({ seed: 'x' })), 400, 'seed'],
  ['stream of the wrong type', () => post(with_({ stream: 'yes' })), 400, 'stream'],
  ['stream_options without stream', () => post(with_({ stream_options: { include_usage: true } })), 400, 'stream_options'],
  ['tools', () => post(with_({ tools: [{ type: 'function', function: { name: 'no name' } }] })), 400, 'tools[0].function.name'],
  ['a schema', () => post(with_({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: [] } } })), 400, 'response_format.json_schema.schema'],
  ['a prompt beyond the context', () => post(with_({ messages: [{ role: 'user', content: '月'.repeat(20_000) }] })), 400, 'messages'],
  ['no key', () => post(good, { key: null }), 401],
  ['a key of another shape', () => post(good, { key: 'sk-123' }), 401],
  ['a key with a wrong check digit', () => post(good, { key: flip(stack.apiKey) }), 401],
  ['SQL for a key', () => post(good, { key: "tgk_' OR pg_sleep(8) --" }), 401],
  ['a Basic header', () => post(good, { key: null, headers: { Authorization: 'Basic abc' } }), 401],
];

const gateway = () => {
  const pid = stack.pid('gateway');
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return { pid, fds: fs.readdirSync(`/proc/${pid}/fd`).length, rssKb: Number(status.match(/VmRSS:\s+(\d+)/)[1]) };
};

test(`${cases.length} kinds of bad requests get the right status and an error that names the field`, async () => {
  assert.ok(cases.length >= 40);
  for (const [name, send, wanted, param] of cases) {
    const answer = await send();
    assert.ok([wanted].flat().includes(answer.status), `${name}: status ${answer.status}, wanted ${wanted}: ${JSON.stringify(answer.body)}`);
    const error = answer.body?.error;
    assert.ok(error, `${name}: no JSON error: ${answer.head}`);
    for (const member of ['message', 'type', 'param', 'code']) assert.ok(member in error, `${name}: error without ${member}`);
    assert.ok(error.message.length > 10, `${name}: ${error.message}`);
    if (param !== undefined) assert.equal(error.param, param, `${name}: ${JSON.stringify(error)}`);
  }
});

test('the refusals differ only in what they should: 401 texts are one text', async () => {
  const texts = new Set();
  for (const key of ['sk-123', flip(stack.apiKey), `tgk_${'a'.repeat(47)}`]) texts.add((await post(good, { key })).body.error.message);
  assert.equal(texts.size, 1);
});

test('memory and file descriptors are flat afterwards, and good requests still work', async () => {
  for (let warm = 0; warm < 3; ++warm) for (const [, send] of cases) await send();
  const before = gateway();
  for (let round = 0; round < 10; ++round) for (const [, send] of cases) await send();
  // It closes a connection a moment after its client.
  const after = await until('it to have closed what was opened', 20, () => {
    const now = gateway();
    if (now.fds > before.fds + 4) throw new Error(`file descriptors ${before.fds} -> ${now.fds}`);
    return now;
  });
  assert.equal(after.pid, before.pid, 'the gateway did not restart');
  assert.ok(after.rssKb <= before.rssKb * 1.1 + kGrowthKb, `memory ${before.rssKb} -> ${after.rssKb} KiB`);
  console.log(`${10 * cases.length} bad requests: file descriptors ${before.fds} -> ${after.fds}, memory ${before.rssKb} -> ${after.rssKb} KiB`);
  await until('a good request to be served', 10, async () => (await post(good)).status === 200);
});
