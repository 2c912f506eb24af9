// POST /v1/chat/completions and /v1/completions as streams: the rules of 1.4 one by one, on the bytes and through clients.
import assert from 'node:assert/strict';
import test from 'node:test';
import { answer, ask, askText, chatEvents, checkUsage, clients, errorOf, kModel, post, streamed } from './conform.mjs';
import { stack, until } from './stack.mjs';
import { exchange } from './wire.mjs';

const kPath = '/v1/chat/completions';
const whole = { max_tokens: 400, seed: 3 };
const deltas = (all) => all.flatMap((chunk) => chunk.choices).map((choice) => choice.delta);

test('streams: the headers say events, uncached and unbuffered', async () => {
  const response = await post(kPath, ask({ stream: true, max_tokens: 2 }));
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  assert.equal(response.headers.get('cache-control'), 'no-cache');
  assert.equal(response.headers.get('x-accel-buffering'), 'no');
  assert.equal(response.headers.get('content-length'), null);
  await response.text();
});

test('streams: the first chunk has the role and an empty content, and no other has a role', async () => {
  const { all } = await chatEvents({ max_tokens: 8 });
  assert.deepEqual(all[0].choices[0].delta, { role: 'assistant', content: '' });
  assert.ok(deltas(all).slice(1).every((delta) => !('role' in delta)));
});

test('streams: exactly one finish reason, in the last choice, with an empty delta', async () => {
  for (const [limit, wanted] of [[3, ['length']], [400, ['stop', 'length']]]) {
    const { all } = await chatEvents({ max_tokens: limit });
    const choices = all.flatMap((chunk) => chunk.choices);
    assert.equal(choices.filter((choice) => choice.finish_reason).length, 1);
    assert.ok(wanted.includes(choices.at(-1).finish_reason), choices.at(-1).finish_reason);
    assert.deepEqual(choices.at(-1).delta, {});
  }
});

test('streams: every chunk has the same id, time, model, fingerprint and object', async () => {
  const { all } = await chatEvents();
  for (const member of ['id', 'created', 'model', 'object', 'system_fingerprint']) assert.equal(new Set(all.map((chunk) => chunk[member])).size, 1, member);
  assert.equal(all[0].object, 'chat.completion.chunk');
  assert.equal(all[0].model, kModel);
});

test('streams: every choice has its index', async () => {
  const { all } = await chatEvents();
  assert.ok(all.every((chunk) => chunk.choices.every(({ index }) => index === 0)));
});

test('streams: usage that was asked for is the last chunk, with empty choices, and null before', async () => {
  const { all, done } = await chatEvents({ stream_options: { include_usage: true } });
  assert.ok(done);
  assert.deepEqual(all.at(-1).choices, []);
  checkUsage(all.at(-1).usage);
  for (const chunk of all.slice(0, -1)) {
    assert.equal(chunk.usage, null);
    assert.equal(chunk.choices.length, 1);
  }
});

test('streams: usage nobody asked for is not sent, nor a chunk without choices', async () => {
  for (const stream_options of [undefined, null, {}, { include_usage: false }]) {
    const { all, done } = await chatEvents({ max_tokens: 4, stream_options });
    assert.ok(done);
    assert.ok(all.every((chunk) => chunk.choices.length === 1 && !('usage' in chunk)), JSON.stringify(stream_options));
  }
});

test('streams: stream_options without a stream are refused, unknown ones ignored', async () => {
  const response = await post(kPath, ask({ stream_options: { include_usage: true } }));
  assert.equal(response.status, 400);
  assert.equal((await errorOf(response)).param, 'stream_options');
  assert.ok((await chatEvents({ max_tokens: 2, stream_options: { include_obfuscation: false, whatever: 1 } })).done);
});

test('streams: thinking ends before content begins, and neither comes empty', async () => {
  const { all } = await chatEvents(whole);
  const kinds = deltas(all).slice(1, -1).map((delta) => {
    assert.ok((delta.reasoning_content ?? delta.content).length > 0);
    return 'reasoning_content' in delta ? 'r' : 'c';
  }).join('');
  assert.match(kinds, /^r+c*$/);
});

test('streams: the deltas joined are the whole answer of the same seed', async () => {
  const { choices } = await answer(kPath, ask(whole));
  const { all } = await chatEvents(whole);
  const joined = (key) => deltas(all).map((delta) => delta[key] ?? '').join('');
  assert.equal(joined('content'), choices[0].message.content);
  assert.equal(joined('reasoning_content'), choices[0].message.reasoning_content);
});

test('streams: every chunk of the body is whole UTF-8, whatever the network does to it', async () => {
  const frames = [];
  const { body, isWhole } = await exchange(`${stack.origin}${kPath}`, { key: stack.apiKey, body: ask({ ...whole, stream: true }) });
  assert.ok(isWhole);
  const strict = new TextDecoder('utf-8', { fatal: true });
  let from = 0;
  for (let end = body.indexOf('\n\n'); end >= 0; end = body.indexOf('\n\n', from)) {
    frames.push(strict.decode(body.subarray(from, end)));
    from = end + 2;
  }
  assert.equal(from, body.length, 'nothing behind the last event');
  const texts = frames.filter((frame) => frame.startsWith('data: {')).flatMap((frame) => JSON.parse(frame.slice(6)).choices).map(({ delta }) => delta.content ?? delta.reasoning_content ?? '');
  assert.ok(texts.every((text) => text.isWellFormed()));
  assert.ok(texts.some((text) => /\p{Script=Han}/u.test(text)), 'the model writes Chinese');
});

test('streams: a stop string that spans tokens is never shown, not even its beginning', async () => {
  const content = (await answer(kPath, ask(whole))).choices[0].message.content;
  const stop = [...content].slice(3, 7).join('');
  const { all } = await chatEvents({ ...whole, stop });
  assert.equal(deltas(all).map((delta) => delta.content ?? '').join(''), content.slice(0, content.indexOf(stop)));
});

test('streams: the last event is [DONE], once', async () => {
  for (const [path, body] of [[kPath, ask({ max_tokens: 2 })], ['/v1/completions', askText({ max_tokens: 2 })]]) {
    const text = await (await post(path, { ...body, stream: true })).text();
    assert.ok(text.endsWith('data: [DONE]\n\n'), text);
    assert.equal(text.split('[DONE]').length, 2);
  }
});

test('streams: an error before the first byte is a real status with JSON, not a stream', async () => {
  for (const [path, body, status, member] of [[kPath, ask({ model: 'tang-mo' }), 404, 'model'], [kPath, ask({ temperature: 9 }), 400, 'temperature'],
    ['/v1/completions', askText({ temperature: 9 }), 400, 'temperature'], [kPath, ask({ messages: [{ role: 'user', content: '月'.repeat(20_000) }] }), 400, 'messages']]) {
    const response = await post(path, { ...body, stream: true });
    assert.equal(response.status, status);
    assert.equal((await errorOf(response)).param, member);
  }
});

test('streams: a client that leaves ends the work and pays what it got', async () => {
  await until('a stream that was left while it ran', 60, async () => {
    const abort = new AbortController();
    const response = await post(kPath, ask({ stream: true, max_tokens: 900, temperature: 1.5 }), { signal: abort.signal });
    const id = response.headers.get('x-request-id');
    await response.body.getReader().read();
    abort.abort();
    const row = await until(`the bill of ${id}`, 20, async () => (await stack.cli('usage', '--request', id)).rows[0]);
    return row.event.finish_reason === 'cancelled' && row.event.prompt_tokens > 0 && row.event.completion_tokens < 900;
  });
});

test('streams: completions have text chunks, one finish reason and their own object', async () => {
  const { all, done } = await streamed('/v1/completions', askText({ stream_options: { include_usage: true } }));
  assert.ok(done);
  assert.ok(all.every((chunk) => chunk.object === 'text_completion' && chunk.id === all[0].id));
  const choices = all.flatMap((chunk) => chunk.choices);
  assert.ok(choices.every((choice) => choice.index === 0 && typeof choice.text === 'string' && choice.logprobs === null));
  assert.equal(choices.filter((choice) => choice.finish_reason).length, 1);
  assert.deepEqual(all.at(-1).choices, []);
  checkUsage(all.at(-1).usage);
});

test('streams: openai-node\'s iterator and its helper build the same answer', async () => {
  const { openai } = clients();
  let text = '';
  for await (const chunk of await openai.chat.completions.create(ask({ stream: true, ...whole }))) text += chunk.choices[0]?.delta.content ?? '';
  const helped = await openai.chat.completions.stream(ask(whole)).finalChatCompletion();
  assert.equal(helped.choices[0].message.content ?? '', text);
  assert.ok(helped.choices[0].finish_reason);
});

test('streams: curl prints them as they come', async () => {
  const { stdout } = await curl(['-N', '-d', JSON.stringify(ask({ stream: true, max_tokens: 4 }))], kPath);
  assert.ok(stdout.startsWith('data: {'), stdout.slice(0, 80));
  assert.ok(stdout.endsWith('data: [DONE]\n\n'));
});

async function curl(words, path) {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  return promisify(execFile)('curl', ['-sS', '-m', '60', '-H', `Authorization: Bearer ${stack.apiKey}`, '-H', 'Content-Type: application/json', ...words, stack.origin + path]);
}
