// What is around every dialect: mounts, methods, keys, headers, the shape of errors, models, idempotency. With plain
// sockets, fetch and curl.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import net from 'node:net';
import test from 'node:test';
import { answer, ask, askMessages, askResponses, askText, errorOf, get, kModel, post } from './conform.mjs';
import { stack, until } from './stack.mjs';
import { customer } from './tenants.mjs';
import { exchange, jsonOf } from './wire.mjs';

/** What comes back on a connection of its own until the server closes it. */
function raw(text) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(stack.httpPort, '127.0.0.1', () => socket.write(text));
    const parts = [];
    socket.setTimeout(20_000, () => socket.destroy(new Error('the server kept the connection for 20 s')));
    socket.on('data', (part) => parts.push(part));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(parts).toString('utf8')));
  });
}
const rawGet = (method, path, more = '') => raw(`${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\nConnection: close\r\n${more}\r\n`);
const statusOf = (text) => Number(text.split(' ')[1]);
const bodyOf = (text) => text.slice(text.indexOf('\r\n\r\n') + 4);

test('http: chat completions answer with /v1, without, and under /beta', async () => {
  for (const mount of ['/v1', '', '/beta']) assert.equal((await post(`${mount}/chat/completions`, ask({ max_tokens: 1 }))).status, 200, mount);
});

test('http: completions answer with /v1, without, and under /beta', async () => {
  for (const mount of ['/v1', '', '/beta']) assert.equal((await post(`${mount}/completions`, askText({ max_tokens: 1 }))).status, 200, mount);
});

test('http: messages answer with /v1, without, and under /anthropic', async () => {
  for (const mount of ['/v1', '', '/anthropic/v1', '/anthropic']) assert.equal((await post(`${mount}/messages`, askMessages({ max_tokens: 1 }))).status, 200, mount);
});

test('http: responses answer with /v1 and without', async () => {
  for (const mount of ['/v1', '']) assert.equal((await post(`${mount}/responses`, askResponses({ max_output_tokens: 1 }))).status, 200, mount);
});

test('http: mounts that nobody has are 404 in JSON', async () => {
  for (const path of ['/v2/chat/completions', '/v1/v1/chat/completions', '/beta/responses', '/v1/chat/completions/', '/V1/chat/completions', '/v1/embedding', '/']) {
    const response = await post(path, ask());
    assert.equal(response.status, 404, path);
    assert.equal((await errorOf(response)).code, 'not_found', path);
  }
});

test('http: a wrong method is 405 and says which is right', async () => {
  for (const [method, path, allow] of [['GET', '/v1/chat/completions', 'POST'], ['OPTIONS', '/v1/chat/completions', 'POST'], ['DELETE', '/v1/models', 'GET'], ['PUT', '/v1/messages', 'POST']]) {
    const seen = await exchange(stack.origin + path, { method, key: stack.apiKey, ...(method === 'PUT' && { body: {} }) });
    assert.equal(seen.status, 405, `${method} ${path}`);
    assert.equal(seen.headers.allow, allow, `${method} ${path}`);
    assert.ok(jsonOf(seen).error.message.includes(allow), `${method} ${path}`);
  }
});

test('http: HEAD is refused, and the connection ends so that no client misreads what follows', async () => {
  const text = await raw(`HEAD /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\n\r\n`);
  assert.equal(statusOf(text), 405);
  assert.match(text, /\r\nconnection: close\r\n/i);
  assert.match(text, /\r\nallow: [A-Z, ]*GET/i);
  assert.match(text, /\r\nx-request-id: [0-9a-f]{8}-[0-9a-f]{4}-7/i);
  assert.equal(bodyOf(text), '', 'a body behind HEAD would be read as the next answer');
});

test('http: a media type but JSON is 415, JSON with a charset is taken', async () => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    const seen = await exchange(`${stack.origin}/v1/chat/completions`, { key: stack.apiKey, body: ask(), headers: { 'Content-Type': type } });
    assert.equal(seen.status, 415, type);
    assert.equal(jsonOf(seen).error.code, 'unsupported_media_type');
    assert.match(seen.headers['x-request-id'], /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.equal(seen.headers['x-should-retry'], 'false');
  }
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8']) {
    assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1 }), { headers: { 'Content-Type': type } })).status, 200, type);
  }
});

test('http: names of headers have no case', async () => {
  const body = JSON.stringify(ask({ max_tokens: 1 }));
  for (const [auth, type, length] of [['AUTHORIZATION', 'CONTENT-TYPE', 'CONTENT-LENGTH'], ['authorization', 'content-type', 'content-length']]) {
    const text = await raw(`POST /v1/chat/completions HTTP/1.1\r\nhOsT: x\r\n${auth}: bEARER ${stack.apiKey}\r\n${type}: application/json\r\n${length}: ${Buffer.byteLength(body)}\r\nCONNECTION: close\r\n\r\n${body}`);
    assert.equal(statusOf(text), 200, text.slice(0, 300));
  }
});

test('http: what SDKs and proxies add to a request changes nothing', async () => {
  const headers = {
    'OpenAI-Organization': 'org-1', 'OpenAI-Project': 'proj_1', 'X-Stainless-Lang': 'js', 'X-Stainless-Retry-Count': '0', 'X-Stainless-Timeout': '600',
    'anthropic-version': '2023-06-01', 'anthropic-beta': 'whatever-2026-01-01', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'X-Forwarded-For': '203.0.113.9',
  };
  assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1 }), { headers })).status, 200);
  assert.equal((await post('/v1/chat/completions?api-version=2026-01-01', ask({ max_tokens: 1 }))).status, 200, 'a query is ignored');
});

test('http: a body in chunks is a body', async () => {
  const body = JSON.stringify(ask({ max_tokens: 1 }));
  const cut = 20;
  const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
  const text = await raw(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk(body.slice(0, cut))}${chunk(body.slice(cut))}0\r\n\r\n`);
  assert.equal(statusOf(text), 200, text.slice(0, 300));
});

test('http: a client that asks whether to send its body is told to', async () => {
  const body = JSON.stringify(ask({ max_tokens: 1 }));
  const text = await raw(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n${body}`);
  assert.match(text, /^HTTP\/1\.1 (100|200) /);
  assert.match(text, /HTTP\/1\.1 200 /);
});

test('http: two requests on one connection are two answers', async () => {
  const one = `GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\n`;
  const text = await raw(`${one}\r\n${one}Connection: close\r\n\r\n`);
  assert.equal(text.split('HTTP/1.1 200 ').length, 3, text.slice(0, 200));
});

test('http: a missing, a wrong and a foreign key are one 401 with one text', async () => {
  const texts = new Set();
  for (const key of [null, 'sk-123', `tgk_${'a'.repeat(47)}`]) {
    for (const [path, body] of [['/v1/chat/completions', ask()], ['/v1/messages', askMessages()], ['/v1/responses', askResponses()]]) {
      const response = await post(path, body, { key });
      assert.equal(response.status, 401);
      assert.match(response.headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
      texts.add((await response.json()).error.message);
    }
  }
  assert.equal(texts.size, 1);
});

test('http: errors have all four members, and 4xx tell SDKs not to try again', async () => {
  for (const [path, body, status] of [['/v1/chat/completions', '{', 400], ['/v1/chat/completions', ask({ temperature: 9 }), 400], ['/v1/chat/completions', ask({ model: 'x' }), 404], ['/v1/nothing', {}, 404]]) {
    const response = await post(path, body);
    assert.equal(response.status, status);
    assert.equal(response.headers.get('x-should-retry'), 'false');
    assert.equal(response.headers.get('retry-after'), null);
    const error = await errorOf(response);
    assert.equal(error.type, 'invalid_request_error');
  }
});

test('http: every answer has its id, ascending in time, and no limit has a header that makes no sense', async () => {
  let last = '';
  for (const response of [await post('/v1/chat/completions', ask({ max_tokens: 1 })), await post('/v1/chat/completions', '{'), await get('/v1/models', 'nonsense'), await get('/v1/nothing'), await get('/v1/models')]) {
    const id = response.headers.get('x-request-id');
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.ok(id > last, 'UUIDv7 of later requests are later');
    last = id;
    assert.match(response.headers.get('openai-processing-ms') ?? 'absent', /^\d+$/);
    for (const [name, value] of response.headers) {
      if (/^x-ratelimit-(limit|remaining)/.test(name)) assert.match(value, /^\d+$/, name);
      if (name === 'retry-after') assert.ok(Number.isInteger(Number(value)) && Number(value) >= 1, value);
    }
  }
});

test('http: headers say whose trace it is, how long the price lasts and how long the request waited', async () => {
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const response = await post('/v1/chat/completions', ask({ max_tokens: 1 }), { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('traceparent'), new RegExp(`^00-${trace}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
  assert.ok(Number.isInteger(Number(response.headers.get('x-tidegate-queue-ms') ?? 'absent')));
  const until = response.headers.get('x-tidegate-price-until');
  const { pricing } = await (await get(`/v1/models/${kModel}`)).json();
  if (pricing.until !== null) assert.ok(Date.parse(until) > Date.now() - 60_000, until);
  else assert.equal(until, null);
  for (const own of [await post('/v1/chat/completions', '{', { headers: { traceparent: 'nonsense' } }), await get('/v1/models')]) {
    assert.match(own.headers.get('traceparent'), new RegExp(`^00-${own.headers.get('x-request-id').replaceAll('-', '')}-[0-9a-f]{16}-00$`));
  }
});

test('http: models are a list with four members each, only those the key may call, one by its id', async () => {
  const list = await (await get('/v1/models')).json();
  assert.equal(list.object, 'list');
  const model = list.data.find(({ id }) => id === kModel);
  for (const each of list.data) {
    assert.equal(each.object, 'model');
    assert.ok(Number.isInteger(each.created) && typeof each.owned_by === 'string');
  }
  assert.ok(model.context_length > 0 && model.pricing);
  assert.deepEqual(await (await get(`/v1/models/${kModel}`)).json(), model);
  assert.deepEqual(await (await get(`/models/${kModel}`)).json(), model);
  const absent = await get('/v1/models/no-such-model');
  assert.equal(absent.status, 404);
  assert.equal((await errorOf(absent)).code, 'model_not_found');
  const other = await customer('narrow', { keyOptions: ['--models', 'another-model'] });
  assert.deepEqual((await (await get('/v1/models', other.secret)).json()).data, []);
});

test('http: a key that may not call a model is refused as such, not as unknown', async () => {
  const other = await customer('narrow', { credit: '1', keyOptions: ['--models', 'another-model'] });
  const response = await post('/v1/chat/completions', ask(), { key: other.secret });
  assert.equal(response.status, 403);
  const error = await errorOf(response);
  assert.deepEqual([error.type, error.code, error.param], ['permission_error', 'model_not_allowed', 'model']);
});

test('http: an Idempotency-Key answers once, in every dialect, and its repeats say so', async () => {
  for (const [path, body] of [['/v1/chat/completions', ask({ max_tokens: 2 })], ['/v1/completions', askText({ max_tokens: 2 })], ['/v1/messages', askMessages({ max_tokens: 2 })], ['/v1/responses', askResponses({ max_output_tokens: 2 })],
    ['/v1/chat/completions', ask({ max_tokens: 2, stream: true })]]) {
    const headers = { 'Idempotency-Key': randomUUID() };
    const first = await post(path, body, { headers });
    const text = await first.text();  // to its end: until then a repeat hears that it is under way
    const again = await post(path, body, { headers });
    assert.equal(first.status, 200);
    assert.equal(again.status, 200);
    assert.equal(await again.text(), text, path);
    assert.equal(first.headers.get('idempotent-replayed'), null);
    assert.equal(again.headers.get('idempotent-replayed'), 'true');
    assert.equal(again.headers.get('x-request-id'), first.headers.get('x-request-id'));
  }
});

test('http: an Idempotency-Key for another body is refused, and so is one that is none', async () => {
  const headers = { 'Idempotency-Key': randomUUID() };
  await answer('/v1/chat/completions', ask({ max_tokens: 1 }), { headers });
  const reused = await post('/v1/chat/completions', ask({ max_tokens: 2 }), { headers });
  assert.equal(reused.status, 400);
  assert.equal((await errorOf(reused)).code, 'idempotency_mismatch');
  for (const key of ['', 'k'.repeat(256), 'a b']) {
    const response = await post('/v1/chat/completions', ask({ max_tokens: 1 }), { headers: { 'Idempotency-Key': key } });
    assert.equal(response.status, 400, JSON.stringify(key));
    assert.equal((await errorOf(response)).param, 'Idempotency-Key');
  }
});

test('http: over a limit the answer is 429 with whole seconds to wait, and the headers of the limit', async () => {
  const { name, secret } = await customer('limited', { credit: '1' });
  await stack.cli('limit', 'set', name, '--rpm', '2');
  const ask1 = () => post('/v1/chat/completions', ask({ max_tokens: 1 }), { key: secret });
  await until('the limit to bind', 10, async () => (await ask1()).headers.get('x-ratelimit-limit-requests') === '2');
  const refused = await until('a refusal', 20, async () => { const response = await ask1(); return response.status === 429 && response; });
  const wait = Number(refused.headers.get('retry-after'));
  assert.ok(Number.isInteger(wait) && wait >= 1 && wait <= 60, `Retry-After ${wait}`);
  const exact = refused.headers.get('retry-after-ms'); // where it is sent, it is the same time
  if (exact !== null) assert.ok(Number(exact) > 0 && Number(exact) <= wait * 1000, `${exact} ms, ${wait} s`);
  assert.equal(refused.headers.get('x-should-retry'), 'true');
  assert.equal(refused.headers.get('x-ratelimit-limit-requests'), '2');
  assert.match(refused.headers.get('x-ratelimit-reset-requests'), /^(\d+m)?\d+m?s$/);
  const error = await errorOf(refused);
  assert.deepEqual([error.type, error.code], ['rate_limit_error', 'rate_limit_exceeded']);
});

test('http: the document lists every path, and each of them answers', async () => {
  const document = await (await get('/openapi.json', null)).json();
  assert.equal(document.openapi, '3.1.0');
  for (const [path, item] of Object.entries(document.paths)) {
    const method = ['get', 'post'].find((each) => each in item).toUpperCase();
    for (const { url } of item.servers ?? document.servers) {
      const target = (url === '/' ? '' : url) + path.replace(/\{.*\}/, 'x');
      const response = await fetch(stack.origin + target, { method, ...(method === 'POST' && { body: '{}' }), headers: { 'Content-Type': 'application/json', Authorization: 'Bearer nonsense' } });
      const open = (item.get ?? item.post).security?.length === 0;
      assert.equal(response.status, open ? 200 : 401, `${method} ${target}`);
    }
  }
});

test('http: HTTP/1.0 without a body is answered and closed', async () => {
  const text = await raw(`GET /v1/models HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer ${stack.apiKey}\r\n\r\n`);
  assert.equal(statusOf(text), 200);
  assert.equal(JSON.parse(bodyOf(text)).object, 'list');
  assert.equal(statusOf(await rawGet('GET', '/v1/nothing')), 404);
});
