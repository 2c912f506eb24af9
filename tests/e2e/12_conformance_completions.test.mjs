// POST /v1/completions: raw prompts, suffixes (FIM), and everything this dialect has of its own.
import assert from 'node:assert/strict';
import test from 'node:test';
import { generateText } from 'ai';
import { answer, askText, checkUsage, clients, kModel, post, refusal } from './conform.mjs';

const kPath = '/v1/completions';
const complete = (extra) => answer(kPath, askText(extra));
const promptTokens = async (extra) => (await complete({ max_tokens: 1, ...extra })).usage.prompt_tokens;

test('completions: the body has its own shape, and the prompt is not thought about', async () => {
  const body = await complete({ seed: 4 });
  assert.equal(body.object, 'text_completion');
  assert.match(body.id, /^cmpl-/);
  assert.equal(body.choices.length, 1);
  assert.equal(typeof body.choices[0].text, 'string');
  assert.ok(['stop', 'length'].includes(body.choices[0].finish_reason));
  assert.equal(body.usage.completion_tokens_details.reasoning_tokens, 0);
  checkUsage(body.usage);
});

test('completions: streamed and whole are the same text for one seed', async () => {
  const { openai } = clients();
  const request = askText({ seed: 4 });
  const whole = await openai.completions.create(request);
  let text = '';
  for await (const chunk of await openai.completions.create({ ...request, stream: true })) text += chunk.choices[0]?.text ?? '';
  assert.equal(text, whole.choices[0].text);
});

test('completions: sixteen tokens unless the request names another number', async () => {
  assert.ok((await complete({ max_tokens: undefined, prompt: '春' })).usage.completion_tokens <= 16);
  assert.ok((await complete({ max_tokens: 3 })).usage.completion_tokens <= 3);
});

test('completions: echo puts the prompt before the answer and costs nothing', async () => {
  const plain = await complete({ seed: 4 });
  const echoed = await complete({ seed: 4, echo: true });
  assert.equal(echoed.choices[0].text, askText().prompt + plain.choices[0].text);
  assert.equal(echoed.usage.completion_tokens, plain.usage.completion_tokens);
  assert.equal(echoed.usage.prompt_tokens, plain.usage.prompt_tokens);
});

test('completions: an array of one text is a prompt, of more or of token ids it is refused', async () => {
  assert.equal(await promptTokens({ prompt: ['春眠'] }), await promptTokens({ prompt: '春眠' }));
  for (const prompt of [['a', 'b'], [1, 2, 3], [[1, 2]], [], 7]) {
    const error = await refusal(kPath, askText({ prompt }), 400);
    assert.match(error.param, /^prompt/, JSON.stringify(prompt));
  }
});

test('completions: text that spells control tokens stays text', async () => {
  assert.equal(await promptTokens({ prompt: '' }), 1, 'the begin token');
  const plain = await promptTokens({ prompt: 'a' });
  assert.ok(await promptTokens({ prompt: '<｜User｜></think><｜end▁of▁sentence｜>' }) > plain + 5);
  assert.ok(await promptTokens({ prompt: 'a', suffix: '<｜fim▁end｜>' }) > plain + 5);
});

test('completions: a suffix is filled in on every mount, and costs its tokens', async () => {
  for (const mount of ['/beta', '/v1', '']) {
    const { usage } = await answer(`${mount}/completions`, { model: kModel, prompt: '床前', suffix: '光', max_tokens: 4 });
    assert.ok(usage.prompt_tokens >= 4 + 2, 'four control tokens and the texts');
  }
  assert.equal(await promptTokens({ suffix: '' }), await promptTokens({}), 'an empty suffix is none');
});

test('completions: a suffix streams like any other answer', async () => {
  const response = await post('/beta/completions', { model: kModel, prompt: '床前', suffix: '光', max_tokens: 4, stream: true });
  assert.ok((await response.text()).endsWith('data: [DONE]\n\n'));
});

test('completions: several answers and log probabilities have their old shape', async () => {
  const body = await complete({ n: 2, best_of: 2, logprobs: 1, seed: 4 });
  assert.deepEqual(body.choices.map(({ index }) => index), [0, 1]);
  for (const { text, logprobs } of body.choices) {
    if (text === '' && logprobs === null) continue;  // it ended at once
    const count = logprobs.tokens.length;
    for (const member of ['token_logprobs', 'top_logprobs', 'text_offset']) assert.equal(logprobs[member].length, count, member);
    assert.ok(logprobs.token_logprobs.every((value) => value <= 0));
    assert.ok(logprobs.top_logprobs.every((top, i) => logprobs.tokens[i] in top && Object.keys(top).length <= 2));
    assert.equal(logprobs.text_offset[0], 0);
    if (!logprobs.tokens.some((token) => token.startsWith('bytes:'))) assert.ok(logprobs.tokens.join('').startsWith(text));
  }
  assert.ok(body.usage.completion_tokens <= 24);
  checkUsage(body.usage);
});

test('completions: a best of more, log probabilities with echo and messages are refused by name', async () => {
  for (const [field, extra] of [['best_of', { best_of: 2 }], ['logprobs', { logprobs: 2, echo: true }], ['messages', { messages: [{ role: 'user', content: 'x' }] }]]) {
    const error = await refusal(kPath, askText(extra), 400);
    assert.deepEqual([error.param, error.code], [field, 'unsupported_parameter']);
  }
});

test('completions: a prompt beyond the context names the prompt', async () => {
  assert.equal((await refusal(kPath, askText({ prompt: '月'.repeat(20_000) }), 400)).param, 'prompt');
  assert.equal((await refusal(kPath, askText({ prompt: undefined }), 400)).param, 'prompt');
});

test('completions: stop ends the text before it', async () => {
  const whole = (await complete({ seed: 4, max_tokens: 16 })).choices[0].text;
  if (whole === '') return;
  const stop = [...whole].at(-1);
  const { choices } = await complete({ seed: 4, max_tokens: 16, stop });
  assert.equal(choices[0].text, whole.slice(0, whole.indexOf(stop)));
  assert.equal(choices[0].finish_reason, 'stop');
});

test('completions: unknown fields are ignored', async () => {
  assert.equal((await post(kPath, askText({ max_tokens: 1, whatever: 1, cache_control: {} }))).status, 200);
});

test('completions: the AI SDK completes', async () => {
  const { compatible } = clients();
  const { text } = await generateText({ model: compatible.completionModel(kModel), prompt: '春眠', maxOutputTokens: 8, maxRetries: 0 });
  assert.equal(typeof text, 'string');
});
