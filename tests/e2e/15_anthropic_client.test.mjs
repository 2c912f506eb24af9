// The Anthropic client, unchanged, on Messages, and the OpenAI client on Responses: the same models, money and errors as
// over chat completions.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { patiently, pico, stack, until } from './stack.mjs';

const anthropic = (options = {}) => new Anthropic({ apiKey: stack.apiKey, baseURL: stack.origin, maxRetries: 0, fetch: patiently, ...options });
const openai = () => new OpenAI({ apiKey: stack.apiKey, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently });
const poem = '写一首关于月的五言绝句。';
const ask = (extra = {}) => ({ model: 'tang-moe', max_tokens: 1000, messages: [{ role: 'user', content: poem }], ...extra });
const askResponses = (extra = {}) => ({ model: 'tang-moe', input: poem, store: false, ...extra });

const textOf = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
const thinkingOf = (message) => message.content.filter((block) => block.type === 'thinking').map((block) => block.thinking).join('');

/** The usage row of a request, checked against what its answer said. */
async function checkBill(requestId, surface, usage) {
  const row = await until(`the bill of ${requestId}`, 20, async () => (await stack.cli('usage', '--request', requestId)).rows[0]);
  assert.equal(row.event.surface, surface);
  assert.equal(row.event.completion_tokens, usage.output_tokens);
  assert.equal(row.event.amount, usage.cost_details.amount);
  assert.equal(row.lines.reduce((sum, line) => sum + pico(line.amount), 0n), pico(usage.cost_details.amount));
  return row;
}

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

test('a whole message thinks, answers, and is billed to the pico-unit', async () => {
  const { data, response } = await anthropic().messages.create(ask({ metadata: { user_id: 'ann' } })).withResponse();
  assert.equal(data.type, 'message');
  assert.equal(data.role, 'assistant');
  assert.equal(data.stop_reason, 'end_turn');
  assert.equal(data.stop_sequence, null);
  assert.deepEqual(data.content.map((block) => block.type), ['thinking', 'text']);
  assert.ok(data.content[0].signature.length > 0);
  assert.ok(data.content.every((block) => (block.text ?? block.thinking).length > 0));
  assert.ok(data.usage.output_tokens_details.thinking_tokens <= data.usage.output_tokens);
  assert.equal(Number(data.usage.cost_details.amount), data.usage.cost);
  assert.equal(data._request_id, response.headers.get('x-request-id'));
  assert.equal(response.headers.get('x-tidegate-cost'), data.usage.cost_details.amount);
  const row = await checkBill(data._request_id, 'http.messages', data.usage);
  assert.equal(row.event.prompt_tokens, data.usage.input_tokens + data.usage.cache_read_input_tokens);
  assert.equal(row.event.cached_tokens, data.usage.cache_read_input_tokens);
});

test('a streamed message has its events in order, and the helper builds the same message', async () => {
  const raw = await collect(await anthropic().messages.create(ask({ stream: true, seed: 11 })));
  const kinds = raw.map((event) => event.type).join(' ');
  assert.match(kinds, /^message_start content_block_start (content_block_delta )+content_block_stop content_block_start (content_block_delta )+content_block_stop message_delta message_stop$/);
  const deltas = raw.filter((event) => event.type === 'content_block_delta').map((event) => `${event.index}${event.delta.type}`).join(' ');
  assert.match(deltas, /^(0thinking_delta )+0signature_delta( 1text_delta)+$/);
  const end = raw.find((event) => event.type === 'message_delta');
  assert.equal(end.delta.stop_reason, 'end_turn');
  await checkBill(raw[0].message.id.replace(/^msg_/, ''), 'http.messages', end.usage);

  const built = await anthropic().messages.stream(ask({ seed: 11 })).finalMessage();
  const whole = await anthropic().messages.create(ask({ seed: 11 }));
  const joined = (kind, key) => raw.filter((event) => event.delta?.type === kind).map((event) => event.delta[key]).join('');
  assert.equal(textOf(built), textOf(whole));
  assert.equal(joined('text_delta', 'text'), textOf(whole));
  assert.equal(thinkingOf(built), thinkingOf(whole));
  assert.equal(joined('thinking_delta', 'thinking'), thinkingOf(whole));
  assert.equal(built.usage.output_tokens, whole.usage.output_tokens);
});

test('the same seed gives the same answer in all three dialects', async () => {
  const chat = await openai().chat.completions.create({ model: 'tang-moe', messages: [{ role: 'user', content: poem }], max_tokens: 1000, seed: 5 });
  const message = await anthropic().messages.create(ask({ seed: 5 }));
  const response = await openai().responses.create(askResponses({ max_output_tokens: 1000, seed: 5 }));
  assert.equal(textOf(message), chat.choices[0].message.content);
  assert.equal(response.output_text, chat.choices[0].message.content);
  assert.equal(thinkingOf(message), chat.choices[0].message.reasoning_content);
  assert.equal(response.output[0].content[0].text, chat.choices[0].message.reasoning_content);
  assert.equal(message.usage.input_tokens + message.usage.cache_read_input_tokens, chat.usage.prompt_tokens);
  assert.equal(response.usage.input_tokens, chat.usage.prompt_tokens);
  assert.equal(response.usage.output_tokens, chat.usage.completion_tokens);
});

test('a message ends at its limit or at a stop sequence, and says which', async () => {
  const short = await anthropic().messages.create(ask({ max_tokens: 3 }));
  assert.equal(short.stop_reason, 'max_tokens');
  assert.equal(short.usage.output_tokens, 3);
  const text = textOf(await anthropic().messages.create(ask({ seed: 3 })));
  const stop = [...text][3];
  const stopped = await anthropic().messages.create(ask({ stop_sequences: ['never written', stop], seed: 3 }));
  assert.equal(stopped.stop_reason, 'stop_sequence');
  assert.equal(stopped.stop_sequence, stop);
  assert.equal(textOf(stopped), text.slice(0, text.indexOf(stop)));
  const streamed = await anthropic().messages.stream(ask({ stop_sequences: [stop], seed: 3 })).finalMessage();
  assert.equal(streamed.stop_reason, 'stop_sequence');
  assert.equal(streamed.stop_sequence, stop);
  assert.equal(textOf(streamed), textOf(stopped));
});

test('a conversation goes on with the thinking and the blocks that a client sends back', async () => {
  const first = await anthropic().messages.create(ask({ system: [{ type: 'text', text: '你是诗人。', cache_control: { type: 'ephemeral' } }] }));
  const messages = [{ role: 'user', content: poem }, { role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'text', text: '再来一首。' }] }];
  const second = await anthropic().messages.create(ask({ system: '你是诗人。', messages }));
  assert.ok(textOf(second).length > 0);
});

test('a last turn of the assistant begins the answer, which does not think first and does not repeat it', async () => {
  const begun = { role: 'assistant', content: '床前明月光，' };
  const message = await anthropic().messages.create(ask({ max_tokens: 12, messages: [...ask().messages, begun] }));
  assert.ok(message.content.every((block) => block.type === 'text'));
  assert.ok(!textOf(message).startsWith(begun.content));
  assert.equal(message.usage.output_tokens_details.thinking_tokens, 0);
});

test('either way of showing the key works, on every mount', async () => {
  for (const client of [
    anthropic({ baseURL: `${stack.origin}/anthropic` }),
    anthropic({ apiKey: null, authToken: stack.apiKey }),
    anthropic({ apiKey: 'of-somebody-else', defaultHeaders: { 'x-api-key': stack.apiKey } }),
  ]) {
    assert.equal((await client.messages.create(ask({ max_tokens: 1 }))).usage.output_tokens, 1);
  }
});

test('errors raise the Anthropic client classes that fit', async () => {
  const wrong = (extra) => anthropic().messages.create(ask(extra));
  const isBad = (field) => (error) => error instanceof Anthropic.BadRequestError && error.type === 'invalid_request_error'
    && error.details.param === field && error.message.includes(field) && /^[0-9a-f-]{36}$/.test(error.requestID);
  await assert.rejects(anthropic({ apiKey: 'tgk_nonsense' }).messages.create(ask()), (error) => error instanceof Anthropic.AuthenticationError && error.type === 'authentication_error');
  await assert.rejects(wrong({ model: 'no-such-model' }), (error) => error instanceof Anthropic.NotFoundError && error.type === 'not_found_error');
  await assert.rejects(wrong({ temperature: 9 }), isBad('temperature'));
  await assert.rejects(wrong({ max_tokens: 0 }), isBad('max_tokens'));
  await assert.rejects(wrong({ stop_sequences: Array(17).fill('x') }), isBad('stop_sequences'));
  await assert.rejects(wrong({ thinking: { type: 'sometimes' } }), isBad('thinking.type'));
  await assert.rejects(wrong({ tools: [{ name: 'no name', input_schema: { type: 'object' } }] }), isBad('tools[0].name'));
  await assert.rejects(wrong({ messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'url', url: 'http://x' } }] }] }), isBad('messages[0].content[0].type'));
  await assert.rejects(wrong({ messages: [{ role: 'user', content: '月'.repeat(20_000) }] }), isBad('messages'));
  await assert.rejects(anthropic().messages.countTokens({ model: 'no-such-model', messages: ask().messages }), (error) => error instanceof Anthropic.NotFoundError);
});

function checkResponsesUsage(usage) {
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.input_tokens_details.cached_tokens <= usage.input_tokens);
  assert.ok(usage.output_tokens_details.reasoning_tokens <= usage.output_tokens);
  assert.equal(Number(usage.cost_details.amount), usage.cost);
}

test('a whole response reasons, answers, keeps nothing, and is billed', async () => {
  const { data, response } = await openai().responses.create(askResponses()).withResponse();
  assert.equal(data.status, 'completed');
  assert.equal(data.store, false);
  assert.deepEqual(data.output.map((item) => item.type), ['reasoning', 'message']);
  assert.ok(data.output_text.length > 0);
  checkResponsesUsage(data.usage);
  await checkBill(response.headers.get('x-request-id'), 'http.responses', data.usage);
  await assert.rejects(openai().responses.retrieve(data.id), OpenAI.NotFoundError);
});

test('a streamed response has its events in order, numbered, with the ids that its end repeats', async () => {
  const events = await collect(await openai().responses.create(askResponses({ stream: true, seed: 11 })));
  const item = (kind) => `response\\.output_item\\.added response\\.content_part\\.added (response\\.${kind}\\.delta )+response\\.${kind}\\.done response\\.content_part\\.done response\\.output_item\\.done`;
  assert.match(events.map((event) => event.type).join(' '), new RegExp(`^response\\.created response\\.in_progress ${item('reasoning_text')} ${item('output_text')} response\\.completed$`));
  events.forEach((event, i) => assert.equal(event.sequence_number, i));
  const { response } = events.at(-1);
  checkResponsesUsage(response.usage);
  for (const event of events.filter((each) => each.item_id)) assert.equal(event.item_id, response.output[event.output_index].id);
  await checkBill(response.id.replace(/^resp_/, ''), 'http.responses', response.usage);

  const built = await openai().responses.stream(askResponses({ seed: 11 })).finalResponse();
  const whole = await openai().responses.create(askResponses({ seed: 11 }));
  const deltas = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta).join('');
  assert.equal(deltas, whole.output_text);
  assert.equal(built.output_text, whole.output_text);
  assert.equal(built.output[0].content[0].text, whole.output[0].content[0].text);
});

test('a response that runs out of tokens is incomplete, and its items go on in the next request', async () => {
  const short = await openai().responses.create(askResponses({ max_output_tokens: 3 }));
  assert.equal(short.status, 'incomplete');
  assert.equal(short.incomplete_details.reason, 'max_output_tokens');
  const first = await openai().responses.create(askResponses({ instructions: '你是诗人。' }));
  const second = await openai().responses.create(askResponses({
    instructions: '你是诗人。',
    input: [{ role: 'user', content: poem }, ...first.output, { role: 'user', content: [{ type: 'input_text', text: '再来一首。' }] }],
  }));
  assert.equal(second.status, 'completed');
});

test('responses refuse by name whatever needs something kept, and what is not served', async () => {
  const refused = (field, value) => assert.rejects(openai().responses.create(askResponses({ [field]: value })),
    (error) => error instanceof OpenAI.BadRequestError && error.param === field && error.code === 'unsupported_parameter');
  await refused('store', true);
  await refused('previous_response_id', 'resp_1');
  await refused('conversation', 'conv_1');
  await refused('background', true);
  await assert.rejects(openai().responses.create(askResponses({ tools: [{ type: 'web_search' }] })), (error) => error.status === 400 && error.param === 'tools[0].type');
  await assert.rejects(openai().responses.create(askResponses({ input: '月'.repeat(20_000) })), (error) => error instanceof OpenAI.BadRequestError && error.param === 'input');
  await assert.rejects(openai().responses.create(askResponses({ max_output_tokens: 0 })), (error) => error.status === 400 && error.param === 'max_output_tokens');
});
