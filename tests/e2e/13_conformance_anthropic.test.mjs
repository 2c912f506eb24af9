// POST /v1/messages: Anthropic's dialect by its rules, on the bytes and through its own client.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { answer, askMessages, clients, kModel, messages, namedEvents, post } from './conform.mjs';
import { allUsage, settled, stack } from './stack.mjs';
import { customer } from './tenants.mjs';

const kPath = '/v1/messages';
const whole = { max_tokens: 400, seed: 3 };
const ask = (extra) => answer(kPath, askMessages(extra));
const stream = (extra) => namedEvents(kPath, askMessages(extra));

async function refusal(body, status, { path = kPath, ...options } = {}) {
  const response = await post(path, body, options);
  assert.equal(response.status, status, await response.clone().text());
  const wire = await response.json();
  assert.equal(wire.type, 'error');
  assert.equal(wire.request_id, response.headers.get('request-id'));
  assert.ok(wire.error.message.length > 10);
  return wire.error;
}
const accepts = async (...changes) => {
  for (const change of changes) assert.equal((await post(kPath, askMessages({ max_tokens: 1, ...change }))).status, 200, JSON.stringify(change));
};

test('anthropic: the body has every member, thinking before text', async () => {
  const body = await ask(whole);
  assert.equal(body.type, 'message');
  assert.equal(body.role, 'assistant');
  assert.match(body.id, /^msg_/);
  assert.equal(body.model, kModel);
  assert.deepEqual(body.content.map(({ type }) => type).slice(0, 2), ['thinking', 'text'].slice(0, body.content.length));
  assert.ok(body.content[0].signature.length > 0);
});

test('anthropic: input tokens leave out the cached ones, and the two add up to the prompt', async () => {
  const { usage } = await ask({ max_tokens: 1 });
  const chat = await answer('/v1/chat/completions', { model: kModel, messages, max_tokens: 1 });
  assert.equal(usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens, chat.usage.prompt_tokens);
  assert.ok(usage.output_tokens_details.thinking_tokens <= usage.output_tokens);
});

test('anthropic: a stream has its events in their order', async () => {
  const kinds = (await stream(whole)).map(({ type }) => type).filter((type) => type !== 'ping').join(' ');
  assert.match(kinds, /^message_start (content_block_start (content_block_delta )+content_block_stop ){1,2}message_delta message_stop$/);
});

test('anthropic: blocks are counted from nought, opened empty and closed before the next', async () => {
  const events = await stream(whole);
  const starts = events.filter(({ type }) => type === 'content_block_start');
  starts.forEach((event, index) => {
    assert.equal(event.index, index);
    assert.equal(event.content_block.text ?? event.content_block.thinking, '');
  });
  let open = null;
  for (const event of events) {
    if (event.type === 'content_block_start') { assert.equal(open, null); open = event.index; }
    if (event.type === 'content_block_delta') assert.equal(event.index, open);
    if (event.type === 'content_block_stop') { assert.equal(event.index, open); open = null; }
  }
  assert.equal(open, null);
});

test('anthropic: a thinking block ends with one signature', async () => {
  const deltas = (await stream(whole)).filter(({ type }) => type === 'content_block_delta').map(({ index, delta }) => `${index}${delta.type}`).join(' ');
  assert.match(deltas, /^(0thinking_delta )+0signature_delta( 1text_delta)*$/);
});

test('anthropic: message_start has the prompt\'s count, message_delta the whole usage', async () => {
  const events = await stream(whole);
  const [{ message }] = events;
  assert.deepEqual(message.content, []);
  assert.equal(message.stop_reason, null);
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0);
  const end = events.find(({ type }) => type === 'message_delta');
  assert.equal(end.usage.input_tokens, message.usage.input_tokens);
  assert.ok(end.usage.output_tokens > 0);
  assert.ok(['end_turn', 'max_tokens'].includes(end.delta.stop_reason));
});

test('anthropic: streamed and whole are the same message for one seed', async () => {
  const body = await ask(whole);
  const events = await stream(whole);
  const joined = (kind, member) => events.filter(({ delta }) => delta?.type === kind).map(({ delta }) => delta[member]).join('');
  const text = (type, member) => body.content.filter((block) => block.type === type).map((block) => block[member]).join('');
  assert.equal(joined('text_delta', 'text'), text('text', 'text'));
  assert.equal(joined('thinking_delta', 'thinking'), text('thinking', 'thinking'));
});

test('anthropic: max_tokens ends it and is named, and must be there', async () => {
  const { stop_reason, stop_sequence, usage } = await ask({ max_tokens: 3 });
  assert.deepEqual([stop_reason, stop_sequence, usage.output_tokens], ['max_tokens', null, 3]);
  assert.equal((await refusal({ model: kModel, messages }, 400)).details.param, 'max_tokens');
});

test('anthropic: a stop sequence ends it and is told', async () => {
  const text = (await ask(whole)).content.find(({ type }) => type === 'text').text;
  const stop = [...text][4];
  const body = await ask({ ...whole, stop_sequences: ['never written', stop] });
  assert.deepEqual([body.stop_reason, body.stop_sequence], ['stop_sequence', stop]);
  const end = (await stream({ ...whole, stop_sequences: [stop] })).find(({ type }) => type === 'message_delta');
  assert.deepEqual([end.delta.stop_reason, end.delta.stop_sequence], ['stop_sequence', stop]);
});

test('anthropic: system is text or blocks, and an empty one is none', async () => {
  await accepts({ system: '你是诗人。' }, { system: [{ type: 'text', text: '你是诗人。', cache_control: { type: 'ephemeral' } }] }, { system: '' }, { system: [] });
});

test('anthropic: what its clients always send is accepted', async () => {
  await accepts({ metadata: { user_id: 'ann' } }, { cache_control: { type: 'ephemeral' } }, { context_management: { edits: [] } }, { service_tier: 'auto' },
    { thinking: { type: 'enabled', budget_tokens: 1024 } }, { thinking: { type: 'adaptive' } }, { output_config: { effort: 'high' } }, { top_k: 40 }, { whatever: 1 });
});

test('anthropic: thinking can be switched off', async () => {
  const body = await ask({ thinking: { type: 'disabled' }, max_tokens: 8 });
  assert.ok(body.content.every(({ type }) => type === 'text'), JSON.stringify(body.content));
  assert.equal(body.usage.output_tokens_details.thinking_tokens, 0);
});

test('anthropic: what cannot be kept is refused by name, in its own shape', async () => {
  for (const [field, extra] of [['thinking.type', { thinking: { type: 'sometimes' } }], ['mcp_servers', { mcp_servers: [{ type: 'url', url: 'http://x' }] }],
    ['inference_geo', { inference_geo: 'eu' }], ['container', { container: 'c_1' }]]) {
    const error = await refusal(askMessages(extra), 400);
    assert.deepEqual([error.type, error.details.param], ['invalid_request_error', field]);
  }
});

test('anthropic: blocks that are no text are refused with their place', async () => {
  const content = [{ type: 'text', text: 'a' }, { type: 'image', source: { type: 'url', url: 'http://x/y.png' } }];
  assert.equal((await refusal(askMessages({ messages: [{ role: 'user', content }] }), 400)).details.param, 'messages[0].content[1].type');
});

test('anthropic: a last turn of the assistant begins the answer and is not repeated', async () => {
  const begun = { role: 'assistant', content: '床前明月光，' };
  const body = await ask({ max_tokens: 12, messages: [...messages, begun] });
  assert.ok(body.content.every(({ type }) => type === 'text'));
  assert.ok(body.content.every(({ text }) => !text.startsWith(begun.content)));
});

test('anthropic: thinking blocks that come back are accepted and not charged', async () => {
  const turn = (content) => ({ max_tokens: 1, messages: [...messages, { role: 'assistant', content }, ...messages] });
  const plain = await ask(turn([{ type: 'text', text: '床前明月光' }]));
  const thought = await ask(turn([{ type: 'thinking', thinking: 'long and deep', signature: 's' }, { type: 'redacted_thinking', data: 'x' }, { type: 'text', text: '床前明月光' }]));
  assert.equal(thought.usage.input_tokens + thought.usage.cache_read_input_tokens, plain.usage.input_tokens + plain.usage.cache_read_input_tokens);
});

test('anthropic: the key is taken from either header, whichever of the two is ours', async () => {
  for (const headers of [{ 'x-api-key': stack.apiKey }, { 'X-API-KEY': stack.apiKey, Authorization: 'Bearer of-somebody-else' }, { 'x-api-key': 'of-somebody-else', Authorization: `Bearer ${stack.apiKey}` }]) {
    assert.equal((await post(kPath, askMessages({ max_tokens: 1 }), { key: null, headers })).status, 200, JSON.stringify(Object.keys(headers)));
  }
});

test('anthropic: any version and beta is accepted, and none', async () => {
  for (const headers of [{}, { 'anthropic-version': '2023-06-01' }, { 'anthropic-version': '2026-10-21', 'anthropic-beta': 'a-2026-01-01,b-2026-02-02' }]) {
    assert.equal((await post(kPath, askMessages({ max_tokens: 1 }), { headers })).status, 200);
  }
});

test('anthropic: statuses have its types', async () => {
  const { secret } = await customer('poor');
  const cases = [[401, 'authentication_error', askMessages(), { key: 'nonsense' }], [402, 'billing_error', askMessages(), { key: secret }], [404, 'not_found_error', askMessages({ model: 'x' }), {}],
    [400, 'invalid_request_error', '{', {}], [404, 'not_found_error', askMessages(), { path: '/v1/messages/batches' }]];
  for (const [status, type, body, options] of cases) assert.equal((await refusal(body, status, options)).type, type);
});

test('anthropic: models are a list of their own, which its client pages through, and one by its id', async () => {
  const client = new Anthropic({ apiKey: stack.apiKey, baseURL: `${stack.origin}/anthropic`, maxRetries: 0 });
  const ids = [];
  for await (const model of client.models.list({ limit: 1 })) ids.push(model.id);
  assert.ok(ids.includes(kModel));
  assert.deepEqual(ids, [...ids].sort());
  const list = await client.models.list();
  assert.deepEqual([list.has_more, list.first_id, list.last_id], [false, ids[0], ids.at(-1)]);
  const model = await client.models.retrieve(kModel);
  assert.deepEqual([model.type, model.id], ['model', kModel]);
  assert.ok(Date.parse(model.created_at) > 0 && model.display_name);
  await assert.rejects(client.models.retrieve('no-such'), Anthropic.NotFoundError);
});

test('anthropic: its client counts what an answer is charged for, on every mount, for nothing', async () => {
  const asked = [{ messages }, { messages, system: '你是诗人。' }, { messages, thinking: { type: 'disabled' } },
    { messages: [...messages, { role: 'assistant', content: '床前' }] }];
  await settled();
  const before = (await allUsage()).length;
  for (const origin of [stack.origin, `${stack.origin}/anthropic`]) {
    const client = new Anthropic({ apiKey: stack.apiKey, baseURL: origin, maxRetries: 0 });
    for (const extra of asked) assert.ok((await client.messages.countTokens({ model: kModel, ...extra })).input_tokens > 0);
  }
  await settled();
  assert.equal((await allUsage()).length, before);
  const { anthropic } = clients();
  for (const extra of asked) {
    const { input_tokens } = await anthropic.messages.countTokens({ model: kModel, ...extra });
    const { usage } = await anthropic.messages.create({ model: kModel, max_tokens: 1, ...extra });
    assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens, JSON.stringify(extra));
  }
});

test('anthropic: what cannot be counted is refused as an answer would be', async () => {
  const path = `${kPath}/count_tokens`;
  const error = await refusal({ model: kModel, messages: [{ role: 'user', content: '月'.repeat(900_000) }] }, 400, { path });
  assert.deepEqual([error.type, error.details.error_code], ['invalid_request_error', 'context_length_exceeded']);
  assert.equal((await refusal({ model: kModel }, 400, { path })).details.param, 'messages');
  assert.equal((await refusal({ model: 'no-such', messages }, 404, { path })).type, 'not_found_error');
  assert.equal((await refusal({ model: kModel, messages }, 401, { path, key: 'tgk_no' })).type, 'authentication_error');
});

test('anthropic: its client streams, and raises the classes that fit', async () => {
  const { anthropic } = clients({ maxRetries: 0 });
  const built = await anthropic.messages.stream(askMessages(whole)).finalMessage();
  assert.deepEqual(built.content.map(({ type }) => type).slice(0, 1), ['thinking']);
  await assert.rejects(anthropic.messages.create(askMessages({ temperature: 9 })), (error) => error instanceof Anthropic.BadRequestError && /^[0-9a-f-]{36}$/.test(error.requestID));
  await assert.rejects(anthropic.messages.create(askMessages({ model: 'no-such' })), Anthropic.NotFoundError);
  await assert.rejects(clients({ key: 'tgk_no', maxRetries: 0 }).anthropic.messages.create(askMessages()), Anthropic.AuthenticationError);
});
