// The checker of streams, checked: a good stream of each dialect breaks no rule, and for every rule there is a stream that
// breaks it. Needs no installation.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { MessagesRules, ResponsesRules } from './named_stream_rules.mjs';
import { ChatRules, CompletionRules } from './stream_rules.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const named = (value) => `event: ${value.type}\n${data(value)}`;
const cost = { cost: 0.5, cost_details: { amount: '0.5' } };

const chunk = (delta, finish_reason = null, more = {}) => ({
  id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', system_fingerprint: 'fp_1',
  choices: [{ index: 0, delta, logprobs: null, finish_reason }], usage: null, ...more,
});
const usage = {
  prompt_tokens: 8, completion_tokens: 3, total_tokens: 11, prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 1 }, prompt_cache_hit_tokens: 0, prompt_cache_miss_tokens: 8, ...cost,
};
const call = (fields) => ({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' }, ...fields }] });
const chat = () => [': keep-alive\n\n', data(chunk({ role: 'assistant', content: '' })), data(chunk({ reasoning_content: '想' })), data(chunk({ content: '月' })),
  data(chunk({}, 'stop')), data(chunk({}, null, { choices: [], usage })), data('[DONE]')];
const tools = () => [data(chunk({ role: 'assistant', content: '' })), data(chunk(call({}))), data(chunk({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] })),
  data(chunk({}, 'tool_calls')), data(chunk({}, null, { choices: [], usage })), data('[DONE]')];
const text = (value, finish_reason = null, more = {}) => ({
  id: 'cmpl-1', object: 'text_completion', created: 1, model: 'm', choices: [{ index: 0, text: value, logprobs: null, finish_reason }], ...more,
});
const completion = () => [data(text('月')), data(text('', 'stop')), data('[DONE]')];

const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, stop_sequence: null, usage: {} };
const block = (index, type) => ({ type: 'content_block_start', index, content_block: type === 'thinking' ? { type, thinking: '', signature: '' } : { type, text: '' } });
const delta = (index, fields) => ({ type: 'content_block_delta', index, delta: fields });
const close = (index) => ({ type: 'content_block_stop', index });
const ended = (fields = {}, more = {}) => ({
  type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null, ...fields },
  usage: { input_tokens: 8, cache_read_input_tokens: 0, output_tokens: 3, output_tokens_details: { thinking_tokens: 1 }, ...cost, ...more },
});
const messages = () => [{ type: 'ping' }, { type: 'message_start', message }, block(0, 'thinking'), delta(0, { type: 'thinking_delta', thinking: '想' }),
  delta(0, { type: 'signature_delta', signature: 's' }), close(0), block(1, 'text'), delta(1, { type: 'text_delta', text: '月' }), close(1), ended(), { type: 'message_stop' }].map(named);

/** Numbered as they stand. */
const numbered = (events) => events.map((event, sequence_number) => named({ sequence_number, ...event }));
const place = { item_id: 'rs_0', output_index: 0, content_index: 0 };
const item = (content) => ({ id: 'rs_0', type: 'reasoning', content });
const part = (value) => ({ type: 'reasoning_text', text: value });
const response = (status, more = {}) => ({ id: 'resp_1', status, output: [], error: null, ...more });
const whole = (more = {}) => response('completed', {
  output: [item([part('想')])], usage: { input_tokens: 8, input_tokens_details: { cached_tokens: 0 }, output_tokens: 3, output_tokens_details: { reasoning_tokens: 1 }, total_tokens: 11, ...cost }, ...more,
});
const kResponse = [{ type: 'response.created', response: response('in_progress') }, { type: 'response.in_progress', response: response('in_progress') },
  { type: 'response.output_item.added', output_index: 0, item: item([]) }, { type: 'response.content_part.added', ...place, part: part('') },
  { type: 'response.reasoning_text.delta', ...place, delta: '想' }, { type: 'response.reasoning_text.done', ...place, text: '想' },
  { type: 'response.content_part.done', ...place, part: part('想') }, { type: 'response.output_item.done', output_index: 0, item: item([part('想')]) },
  { type: 'response.completed', response: whole() }];
const kFailed = [...kResponse.slice(0, 2), { type: 'response.failed', response: response('failed', { error: { code: 'worker_lost', message: 'x' } }) },
  { type: 'error', error: { message: 'x', type: 'server_error', param: null, code: 'worker_lost' } }];
const replaced = (list, at, ...values) => [...list.slice(0, at), ...values, ...list.slice(at + 1)];
const changed = (at, fields) => numbered(replaced(kResponse, at, { ...kResponse[at], ...fields }));

const dialects = {
  chat: { Rules: ChatRules, asked: { includeUsage: true, maxTokens: 8, stops: ['潮'] } },
  completion: { Rules: CompletionRules, asked: { includeUsage: false } },
  messages: { Rules: MessagesRules, asked: { maxTokens: 8, stops: ['潮'] } },
  responses: { Rules: ResponsesRules, asked: { maxTokens: 8 } },
};
function broken(dialect, frames, asked = {}) {
  const { Rules, asked: usual } = dialects[dialect];
  const rules = new Rules({ ...usual, ...asked });
  const bytes = Buffer.concat(frames.map((frame) => Buffer.from(frame)));
  for (let at = 0; at < bytes.length; at += 7) rules.feed(bytes.subarray(at, at + 7)); // as badly cut as can be
  return rules.end().map(({ rule }) => rule);
}

test('good streams break no rule, cut ones neither', () => {
  assert.deepEqual(broken('chat', chat()), []);
  assert.deepEqual(broken('chat', tools()), []);
  assert.deepEqual(broken('completion', completion()), []);
  assert.deepEqual(broken('messages', messages()), []);
  assert.deepEqual(broken('responses', numbered(kResponse)), []);
  assert.deepEqual(broken('responses', numbered(kFailed)), []);
  const error = { message: 'x', type: 'server_error', param: null, code: 'worker_lost' };
  assert.deepEqual(broken('chat', [...chat().slice(0, 3), data({ error })]), []);
  assert.deepEqual(broken('messages', [...messages().slice(0, 4), named({ type: 'error', error: { type: 'api_error', message: 'x' }, request_id: '1' })]), []);
});

test('a client that left holds nobody to an end', () => {
  const rules = new ChatRules({ includeUsage: true });
  rules.feed(Buffer.from(chat().slice(0, 3).join('') + 'data: {"id":'));
  assert.deepEqual(rules.end({ left: true }), []);
});

const C = chat(), T = tools(), M = messages();
/** rule -> streams that break it: [dialect, frames, asked?]. */
const kMutants = {
  framing: [['chat', [...C, 'data: x']], ['chat', replaced(C, 3, 'event: x\ndata: {}\n\n')], ['messages', replaced(M, 3, data({ type: 'ping' }))]],
  'utf-8': [['chat', replaced(C, 0, Buffer.from([0x3a, 0xff, 0x0a, 0x0a]))]],
  json: [['chat', replaced(C, 3, 'data: {"id"\n\n')], ['messages', replaced(M, 3, 'event: ping\ndata: 7\n\n')]],
  cut: [['chat', C.slice(0, 5)], ['completion', completion().slice(0, 1)], ['messages', M.slice(0, -1)], ['responses', numbered(kResponse.slice(0, -1))]],
  'after-the-end': [['chat', [...C, C[3]]], ['messages', [...M, named({ type: 'ping' })]], ['responses', numbered([...kResponse, kResponse[4]])]],
  done: [['chat', [...C.slice(0, 5), C.at(-1)]], ['completion', [data(text('月')), data('[DONE]')]]],
  'stop-shown': [['chat', replaced(C, 3, data(chunk({ content: '潮' })))], ['messages', replaced(M, 7, named(delta(1, { type: 'text_delta', text: '潮' })))]],
  'max-tokens': [['chat', C, { maxTokens: 2 }], ['messages', M, { maxTokens: 2 }], ['responses', numbered(kResponse), { maxTokens: 2 }]],
  length: [['chat', replaced(C, 4, data(chunk({}, 'length')))], ['messages', replaced(M, 9, named(ended({ stop_reason: 'max_tokens' })))]],
  'empty-delta': [['chat', replaced(C, 3, data(chunk({ content: '' })))], ['chat', replaced(C, 3, data(chunk({})))], ['messages', replaced(M, 7, named(delta(1, { type: 'text_delta', text: '' })))], ['responses', changed(4, { delta: '' })]],
  'code-points': [['chat', replaced(C, 3, data('{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"\\ud83c"},"finish_reason":null}],"usage":null}'))]],
  'error-shape': [['chat', [...C.slice(0, 3), data({ error: { message: 'x' } })]], ['messages', [...M.slice(0, 3), named({ type: 'error', error: {} })]],
    ['responses', numbered(replaced(kFailed, 2, { type: 'response.failed', response: response('failed') }))]],
  'usage-sums': [['chat', replaced(C, 5, data(chunk({}, null, { choices: [], usage: { ...usage, total_tokens: 12 } })))], ['chat', replaced(C, 5, data(chunk({}, null, { choices: [], usage: { ...usage, prompt_cache_hit_tokens: 1 } })))],
    ['messages', replaced(M, 9, named(ended({}, { output_tokens: 0 })))], ['responses', changed(8, { response: whole({ usage: null }) })]],
  'usage-cost': [['chat', replaced(C, 5, data(chunk({}, null, { choices: [], usage: { ...usage, cost: 1 } })))]],
  index: [['chat', replaced(C, 3, data(chunk({}, null, { choices: [{ index: 1, delta: { content: '月' }, finish_reason: null }] })))], ['chat', replaced(C, 3, data({ ...chunk({}), choices: undefined }))]],
  'usage-null': [['chat', replaced(C, 3, data(chunk({ content: '月' }, null, { usage })))]],
  'usage-unasked': [['chat', C, { includeUsage: false }], ['completion', replaced(completion(), 0, data(text('月', null, { usage })))]],
  'usage-last': [['chat', [C[1], C[5], C[4], C[6]]]],
  'after-finish': [['chat', [...C.slice(0, 5), C[3], ...C.slice(5)]]],
  object: [['chat', replaced(C, 3, data(chunk({ content: '月' }, null, { object: 'chat.completion' })))]],
  identity: [['chat', replaced(C, 3, data(chunk({ content: '月' }, null, { id: 'chatcmpl-2' })))], ['chat', replaced(C, 3, data(chunk({ content: '月' }, null, { created: 2 })))], ['responses', changed(8, { response: whole({ id: 'resp_2' }) })]],
  'finish-reason': [['chat', replaced(C, 4, data(chunk({}, 'insufficient_system_resource')))], ['messages', replaced(M, 9, named(ended({ stop_reason: 'stop' })))]],
  'role-first': [['chat', C.filter((each) => each !== C[1])]],
  'role-once': [['chat', replaced(C, 3, data(chunk({ role: 'assistant', content: '月' })))]],
  'reasoning-unasked': [['chat', C, { thinks: false }], ['messages', M, { thinks: false }], ['responses', numbered(kResponse), { thinks: false }]],
  'reasoning-first': [['chat', [C[1], C[3], C[2], ...C.slice(4)]], ['messages', [M[1], ...M.slice(6, 9), ...M.slice(2, 6), ...M.slice(9)]]],
  'finish-tools': [['chat', replaced(C, 4, data(chunk({}, 'tool_calls')))], ['chat', replaced(T, 3, data(chunk({}, 'stop')))]],
  'tool-index': [['chat', replaced(T, 1, data(chunk(call({ index: undefined }))))], ['chat', replaced(T, 1, data(chunk(call({ index: 1 }))))]],
  'tool-start': [['chat', replaced(T, 1, data(chunk(call({ id: undefined }))))], ['chat', replaced(T, 1, data(chunk(call({ type: undefined }))))]],
  'tool-arguments': [['chat', replaced(T, 2, data(chunk({ tool_calls: [{ index: 0, function: {} }] })))]],
  'tool-name': [['chat', T, { tools: ['g'] }]],
  'tool-json': [['chat', replaced(T, 2, data(chunk({ tool_calls: [{ index: 0, function: { arguments: '{' } }] })))]],
  'format-json': [['chat', C, { isJson: true }]],
  text: [['completion', replaced(completion(), 1, data(text(null, 'stop')))]],
  'event-name': [['messages', replaced(M, 0, 'event: pong\ndata: {"type":"ping"}\n\n')]],
  'event-type': [['messages', [M[0], named({ type: 'message_middle' }), ...M.slice(1)]], ['responses', changed(4, { type: 'response.refusal.delta' })]],
  order: [['messages', M.filter((each) => each !== M[9])], ['responses', numbered(kResponse.slice(1))]],
  'start-first': [['messages', M.filter((each) => each !== M[1])], ['messages', [M[1], ...M]]],
  'start-shape': [['messages', replaced(M, 1, named({ type: 'message_start', message: { ...message, content: [1] } }))]],
  'block-nesting': [['messages', M.filter((each) => each !== M[5])], ['messages', M.filter((each) => each !== M[8])]],
  'block-index': [['messages', replaced(M, 6, named(block(2, 'text')))]],
  'block-type': [['messages', replaced(M, 6, named(block(1, 'image')))]],
  'block-empty': [['messages', replaced(M, 6, named({ ...block(1, 'text'), content_block: { type: 'text', text: 'x' } }))]],
  signature: [['messages', M.filter((each) => each !== M[4])], ['messages', [...M.slice(0, 5), ...M.slice(3)]]],
  'delta-type': [['messages', replaced(M, 7, named(delta(1, { type: 'thinking_delta', thinking: 'x', text: 'x' })))], ['responses', changed(4, { type: 'response.output_text.delta' })]],
  'stop-sequence': [['messages', replaced(M, 9, named(ended({ stop_reason: 'stop_sequence' })))], ['messages', replaced(M, 9, named(ended({ stop_reason: 'stop_sequence', stop_sequence: '江' })))]],
  sequence: [['responses', changed(4, { sequence_number: 3 })]],
  'failed-then-error': [['responses', numbered(kFailed.filter((each) => each !== kFailed[2]))], ['responses', numbered([...kFailed.slice(0, 3), kResponse[8]])]],
  place: [['responses', changed(4, { output_index: 1 })], ['responses', changed(4, { item_id: 'rs_1' })]],
  'item-order': [['responses', numbered(kResponse.filter((each) => each !== kResponse[3]))], ['responses', numbered(kResponse.filter((each) => each !== kResponse[7]))]],
  'item-type': [['responses', changed(2, { item: { ...item([]), type: 'thought' } })]],
  'done-text': [['responses', changed(5, { text: '想想' })], ['responses', changed(6, { part: part('') })]],
  'end-status': [['responses', changed(8, { response: whole({ status: 'in_progress' }) })]],
  'end-output': [['responses', changed(8, { response: whole({ output: [] }) })]],
};

for (const [rule, streams] of Object.entries(kMutants)) {
  test(`'${rule}' can be broken`, () => {
    assert.ok(streams.length > 0);
    for (const [dialect, frames, asked] of streams) assert.ok(broken(dialect, frames, asked).includes(rule), `${dialect}: ${broken(dialect, frames, asked)}`);
  });
}

test('every rule is among them', () => {
  const source = ['stream_rules.mjs', 'named_stream_rules.mjs'].map((file) => fs.readFileSync(path.join(here, file), 'utf8')).join('\n');
  const rules = new Set([...source.matchAll(/\.(?:hold|fail)\('([a-z0-9-]+)'/g)].map(([, rule]) => rule));
  assert.deepEqual([...rules].filter((rule) => !(rule in kMutants)), []);
  assert.deepEqual(Object.keys(kMutants).filter((rule) => !rules.has(rule)), []);
});
