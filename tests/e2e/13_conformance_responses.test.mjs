// POST /v1/responses: OpenAI's newer dialect, the part that keeps nothing between requests.
import assert from 'node:assert/strict';
import test from 'node:test';
import { answer, askResponses, clients, errorOf, get, kPrompt, namedEvents, post, refusal } from './conform.mjs';

const kPath = '/v1/responses';
const whole = { max_output_tokens: 400, seed: 3 };
const ask = (extra) => answer(kPath, askResponses(extra));
const stream = (extra) => namedEvents(kPath, askResponses(extra));
const refused = (extra, status = 400) => refusal(kPath, askResponses(extra), status);
const textOf = (response) => response.output.filter(({ type }) => type === 'message').flatMap(({ content }) => content).map(({ text }) => text).join('');
const kReasoning = 'reasoning', kMessage = 'message';

test('responses: the body has every member, reasoning before the message', async () => {
  const response = await post(kPath, askResponses(whole));
  const body = await response.json();
  assert.equal(body.object, 'response');
  assert.equal(body.id, `resp_${response.headers.get('x-request-id')}`);
  assert.deepEqual(body.output.map(({ type }) => type), [kReasoning, kMessage].slice(0, body.output.length));
  assert.equal(body.store, false);
  assert.equal(body.error, null);
  for (const member of ['created_at', 'model', 'instructions', 'metadata', 'parallel_tool_calls', 'tools', 'tool_choice', 'temperature', 'top_p', 'incomplete_details']) assert.ok(member in body, member);
});

test('responses: usage is its own and adds up', async () => {
  const { usage } = await ask({ max_output_tokens: 3 });
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.input_tokens_details.cached_tokens <= usage.input_tokens);
  assert.ok(usage.output_tokens_details.reasoning_tokens <= usage.output_tokens);
  assert.equal(Number(usage.cost_details.amount), usage.cost);
});

test('responses: events are numbered from nought without a gap, and there is no [DONE]', async () => {
  const events = await stream(whole);
  events.forEach((event, index) => assert.equal(event.sequence_number, index));
  const text = await (await post(kPath, askResponses({ max_output_tokens: 2, stream: true }))).text();
  assert.ok(!text.includes('[DONE]'));
});

test('responses: a stream has its events in their order, each *.done behind its deltas', async () => {
  const item = (kind) => `response\\.output_item\\.added response\\.content_part\\.added (response\\.${kind}\\.delta )+response\\.${kind}\\.done response\\.content_part\\.done response\\.output_item\\.done `;
  const kinds = (await stream(whole)).map(({ type }) => type).join(' ');
  assert.match(kinds, new RegExp(`^response\\.created response\\.in_progress ${item('reasoning_text')}(${item('output_text')})?response\\.(completed|incomplete)$`));
});

test('responses: the ids and places of items never change, and the end repeats them', async () => {
  const events = await stream(whole);
  const { response } = events.at(-1);
  for (const event of events.filter(({ item_id }) => item_id)) assert.equal(event.item_id, response.output[event.output_index].id);
  for (const event of events.filter(({ item }) => item)) assert.equal(event.item.id, response.output[event.output_index].id);
  assert.equal(new Set(response.output.map(({ id }) => id)).size, response.output.length);
  assert.equal(new Set(events.filter((event) => event.response).map((event) => event.response.id)).size, 1);
});

test('responses: the deltas joined are the *.done text, the item and the whole answer of the same seed', async () => {
  const events = await stream(whole);
  const { response } = events.at(-1);
  for (const done of events.filter(({ type }) => /_text\.done$/.test(type))) {
    const joined = events.filter(({ type, output_index }) => type === done.type.replace('done', 'delta') && output_index === done.output_index).map(({ delta }) => delta).join('');
    assert.equal(joined, done.text);
    assert.equal(response.output[done.output_index].content[0].text, done.text);
  }
  assert.equal(textOf(response), textOf(await ask(whole)));
});

test('responses: out of tokens is incomplete, whole and streamed', async () => {
  const body = await ask({ max_output_tokens: 3 });
  assert.deepEqual([body.status, body.incomplete_details?.reason], ['incomplete', 'max_output_tokens']);
  const end = (await stream({ max_output_tokens: 3 })).at(-1);
  assert.equal(end.type, 'response.incomplete');
  assert.equal(end.response.status, 'incomplete');
});

test('responses: input is text or items, with or without their type', async () => {
  for (const input of [kPrompt, [{ role: 'user', content: kPrompt }], [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: kPrompt }] }],
    [{ role: 'developer', content: 'x' }, { role: 'user', content: kPrompt }]]) {
    assert.equal((await post(kPath, askResponses({ max_output_tokens: 1, input }))).status, 200, JSON.stringify(input));
  }
});

test('responses: items of an answer go on in the next request', async () => {
  const first = await ask({ ...whole, instructions: '你是诗人。' });
  const input = [{ role: 'user', content: kPrompt }, ...first.output, { role: 'user', content: [{ type: 'input_text', text: '再来一首。' }] }];
  assert.ok((await ask({ input, instructions: '你是诗人。' })).output.length > 0);
});

test('responses: whatever needs something kept is refused by name', async () => {
  for (const [field, value] of [['store', true], ['previous_response_id', 'resp_1'], ['conversation', 'conv_1'], ['background', true], ['prompt', { id: 'pmpt_1' }]]) {
    const error = await refused({ [field]: value });
    assert.deepEqual([error.param, error.code], [field, 'unsupported_parameter']);
  }
  assert.equal((await refused({ input: [{ type: 'item_reference', id: 'msg_1' }] })).param, 'input[0].type');
});

test('responses: log probabilities stand in the part and in its deltas', async () => {
  const asked = { top_logprobs: 1, include: ['message.output_text.logprobs'], reasoning: { effort: 'none' }, seed: 3, max_output_tokens: 24 };
  const body = await answer(kPath, askResponses(asked));
  const part = body.output.find(({ type }) => type === 'message').content[0];
  assert.ok(Buffer.from(part.logprobs.flatMap(({ bytes }) => bytes)).toString().includes(part.text));
  assert.ok(part.logprobs.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 1));
  const deltas = (await namedEvents(kPath, askResponses(asked))).filter(({ type }) => type === 'response.output_text.delta');
  assert.deepEqual(deltas.flatMap(({ logprobs }) => logprobs), part.logprobs);
});

test('responses: what is not served is refused by name, what asks for nothing is accepted', async () => {
  for (const [field, value] of [['truncation', 'auto'], ['top_logprobs', 21]]) assert.equal((await refused({ [field]: value })).param, field);
  for (const extra of [{ truncation: 'disabled' }, { include: ['reasoning.encrypted_content'] }, { reasoning: { effort: 'high', summary: 'auto' } }, { text: { format: { type: 'text' }, verbosity: 'medium' } }, { metadata: { a: 'b' } }, { store: false }, { whatever: 1 }]) {
    assert.equal((await post(kPath, askResponses({ max_output_tokens: 1, ...extra }))).status, 200, JSON.stringify(extra));
  }
});

test('responses: thinking can be switched off', async () => {
  const body = await ask({ reasoning: { effort: 'none' }, max_output_tokens: 8 });
  assert.ok(body.output.every(({ type }) => type === 'message'), JSON.stringify(body.output));
  assert.equal(body.usage.output_tokens_details.reasoning_tokens, 0);
});

test('responses: errors name its own fields', async () => {
  assert.equal((await refused({ input: '月'.repeat(20_000) })).param, 'input');
  assert.equal((await refused({ max_output_tokens: 0 })).param, 'max_output_tokens');
  assert.equal((await refused({ input: undefined })).param, 'input');
  assert.equal((await refused({ model: 'no-such' }, 404)).code, 'model_not_found');
});

test('responses: what was answered cannot be fetched, and says that nothing is kept', async () => {
  const { id } = await ask({ max_output_tokens: 1 });
  const response = await get(`/v1/responses/${id}`);
  assert.equal(response.status, 404);
  assert.match((await errorOf(response)).message, /not kept/);
});

test('responses: openai-node\'s helper builds the same response', async () => {
  const { openai } = clients({ maxRetries: 0 });
  const built = await openai.responses.stream(askResponses(whole)).finalResponse();
  const plain = await openai.responses.create(askResponses(whole));
  assert.equal(built.output_text, plain.output_text);
  assert.equal(built.usage.output_tokens, plain.usage.output_tokens);
});
