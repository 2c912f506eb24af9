// A worker that says nothing for a while: what each dialect sends meanwhile, so that no proxy closes the connection. The
// gateway of this file speaks after 200 ms of silence instead of nine seconds.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { clients } from './conform.mjs';
import { Fleet, kSim } from './fleet.mjs';
import { Gateway } from './gateways.mjs';
import { kSlowness, kStallMs, stack } from './stack.mjs';
import { leased } from './tenants.mjs';
import { exchange, jsonOf } from './wire.mjs';

// Four bytes a token and four for the template: a second and a half of reading, twice as long where a gateway may stand
// still.
const kPromptPerSecond = kSlowness > 1 ? 5 : 10;
const kPrompt = 'x'.repeat(44);

let gateway;
let fleet;
before(async () => {
  gateway = await Gateway.start('gateway-quiet', { 'limits.keep_alive_ms': 200 });
  fleet = await Fleet.start('slow-reader', {
    sequences: 4, gateways: [gateway.baseUrl],
    options: { 'sim.step_ms': 20, 'sim.prefill_tokens_per_s': kPromptPerSecond, 'sim.reasoning_tokens': 2, 'sim.content_tokens': 4 },
  });
  const short = { model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: 1 };
  await leased(stack.apiKey, short, gateway.baseUrl);
});
after(async () => {
  await fleet?.stop();
  await gateway?.stop();
});

/** The frames of a stream, and how long the longest silence was. */
async function frames(path, body) {
  let last = performance.now();
  let silence = 0;
  const seen = await exchange(gateway.baseUrl + path, {
    key: stack.apiKey, body: { model: kSim, stream: true, ...body },
    onPart: () => { const at = performance.now(); silence = Math.max(silence, at - last); last = at; },
  });
  assert.equal(seen.status, 200, seen.body.toString());
  assert.ok(seen.isWhole);
  return { list: seen.body.toString().slice(0, -2).split('\n\n'), silence };
}
const isComment = (frame) => frame.startsWith(':');
const messages = [{ role: 'user', content: kPrompt }];

test('silence: the shipped limit is ten seconds at most', async () => {
  const config = await (await fetch(`http://127.0.0.1:${stack.adminPort(2)}/configz`)).text();
  const limit = Number(config.match(/limits\.keep_alive_ms\D+(\d+)/)[1]);
  assert.ok(limit > 0 && limit <= 10_000, `${limit} ms`);
});

test('silence: chat sends comments until its first chunk', async () => {
  const { list, silence } = await frames('/chat/completions', { messages, max_tokens: 5 });
  const first = list.findIndex((frame) => !isComment(frame));
  assert.ok(first >= 3, `${first} comments before the first chunk`);
  assert.ok(silence < 1000 + kStallMs, `${silence} ms of silence`);
  assert.equal(JSON.parse(list[first].slice('data: '.length)).choices[0].delta.role, 'assistant');
  assert.equal(list.at(-1), 'data: [DONE]');
});

test('silence: completions send comments until their first chunk', async () => {
  const { list } = await frames('/completions', { prompt: kPrompt, max_tokens: 3 });
  assert.ok(list.findIndex((frame) => !isComment(frame)) >= 3);
  assert.equal(list.at(-1), 'data: [DONE]');
});

test('silence: messages send pings, and message_start before anything but them', async () => {
  const { list } = await frames('/messages', { messages, max_tokens: 5 });
  const types = list.map((frame) => frame.match(/^event: (\S+)\n/)?.[1]);
  assert.ok(types.filter((type) => type === 'ping').length >= 3, types.join(' '));
  assert.equal(types.find((type) => type !== 'ping'), 'message_start');
  assert.equal(types.at(-1), 'message_stop');
});

test('silence: responses open, then send comments', async () => {
  const { list } = await frames('/responses', { input: kPrompt, max_output_tokens: 5 });
  assert.match(list[0], /^event: response\.created\n/);
  assert.match(list[1], /^event: response\.in_progress\n/);
  assert.ok(isComment(list[2]) && isComment(list[3]), list.slice(0, 5).join('\n'));
  assert.match(list.at(-1), /^event: response\.(completed|incomplete)\n/);
});

test('silence: no client notices what keeps its connection', async () => {
  const { openai, anthropic } = clients({ baseURL: gateway.baseUrl, origin: new URL(gateway.baseUrl).origin, maxRetries: 0 });
  const request = { model: kSim, messages, max_tokens: 5 };
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
  assert.ok(text.length > 0);
  const message = await anthropic.messages.stream(request).finalMessage();
  assert.ok(message.content.length > 0);
  assert.ok((await openai.responses.stream({ model: kSim, input: kPrompt, max_output_tokens: 5 }).finalResponse()).output_text.length > 0);
});

test('silence: an answer that does not stream is silent while an error could still have its status', async () => {
  const seen = await exchange(`${gateway.baseUrl}/chat/completions`, { key: stack.apiKey, body: { model: kSim, messages, max_tokens: 5 } });
  assert.equal(seen.status, 200);
  assert.equal(seen.body[0], '{'.charCodeAt(0), 'no blank line before 15 s');
  assert.ok(seen.headers['x-tidegate-cost']);
});

test('silence: an answer that does not stream and takes long has blank lines before its JSON', { skip: !process.env.TIDEGATE_FULL && 'takes 18 s; TIDEGATE_FULL=1' }, async () => {
  const slow = [{ role: 'user', content: 'x'.repeat(4 * (kPromptPerSecond * 17)) }];
  const seen = await exchange(`${gateway.baseUrl}/chat/completions`, { key: stack.apiKey, body: { model: kSim, messages: slow, max_tokens: 5 } });
  assert.equal(seen.status, 200);
  assert.match(seen.body.toString(), /^\n+\{/);
  assert.equal(jsonOf(seen).choices[0].finish_reason, 'length');
  const { openai } = clients({ baseURL: gateway.baseUrl, maxRetries: 0 });
  assert.ok((await openai.chat.completions.create({ model: kSim, messages: slow, max_tokens: 5 })).choices[0].message.content.length > 0);
});
