// POST /v1/embeddings, of a model that is served for them and of one that is not, with unmodified clients.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { embedMany } from 'ai';
import { answer, clients, kModel, post, refusal } from './conform.mjs';
import { pico, stack, until } from './stack.mjs';

const kPath = '/v1/embeddings';
const kDense = 'tang-distill-qwen2';
const kTexts = ['床前明月光', '疑是地上霜', 'moon over the river'];
const embed = (extra = {}) => answer(kPath, { model: kDense, input: kTexts, ...extra });
const refused = (extra, status = 400) => refusal(kPath, { model: kDense, input: 'x', ...extra }, status);
const length = (vector) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

before(async () => {
  await stack.cli('deploy', 'apply', kDense, '--model', kDense, '--variant', 'bf16');
  await until(`${kDense} to serve`, 60, async () => (await post(kPath, { model: kDense, input: 'x' })).status === 200);
});
after(async () => stack.cli('deploy', 'delete', kDense));

test('embeddings: each text has a vector of length one, in order, and its own whatever stands beside it', async () => {
  const body = await embed();
  assert.equal(body.object, 'list');
  assert.equal(body.model, kDense);
  assert.deepEqual(body.data.map(({ index, object }) => [index, object]), kTexts.map((_, i) => [i, 'embedding']));
  for (const { embedding } of body.data) {
    assert.equal(embedding.length, 192);
    assert.ok(Math.abs(length(embedding) - 1) < 1e-5);
  }
  for (const [i, input] of kTexts.entries()) assert.deepEqual((await embed({ input })).data[0].embedding, body.data[i].embedding);
});

test('embeddings: only the input is charged, at its price', async () => {
  const { usage } = await embed();
  assert.equal(usage.total_tokens, usage.prompt_tokens);
  assert.ok(!('completion_tokens' in usage));
  const model = (await (await fetch(`${stack.baseUrl}/models`, { headers: { Authorization: `Bearer ${stack.apiKey}` } })).json()).data.find(({ id }) => id === kDense);
  assert.ok(model.pricing);
  const alone = await Promise.all(kTexts.map(async (input) => (await embed({ input })).usage));
  assert.equal(alone.reduce((sum, one) => sum + one.prompt_tokens, 0), usage.prompt_tokens);
  assert.equal(alone.reduce((sum, one) => sum + pico(one.cost_details.amount), 0n), pico(usage.cost_details.amount));
  assert.ok(usage.cost > 0);
});

test('embeddings: base64 is the same floats, and openai-node reads it by itself', async () => {
  const floats = (await embed()).data.map(({ embedding }) => embedding);
  const coded = (await embed({ encoding_format: 'base64' })).data.map(({ embedding }) => embedding);
  for (const [i, text] of coded.entries()) {
    const bytes = Buffer.from(text, 'base64');
    assert.equal(bytes.toString('base64'), text);
    assert.deepEqual(floats[i].map(Math.fround), Array.from({ length: bytes.length / 4 }, (_, k) => bytes.readFloatLE(4 * k)));
  }
  const { openai } = clients();
  const { data } = await openai.embeddings.create({ model: kDense, input: kTexts });
  assert.deepEqual(data.map(({ embedding }) => Array.from(embedding)), floats.map((vector) => vector.map(Math.fround)));
});

test('embeddings: the AI SDK embeds many', async () => {
  const { compatible } = clients();
  const { embeddings, usage } = await embedMany({ model: compatible.textEmbeddingModel(kDense), values: kTexts, maxRetries: 0 });
  assert.equal(embeddings.length, 3);
  assert.ok(usage.tokens > 0);
});

test('embeddings: token ids are taken, alone and in lists, and control tokens are none', async () => {
  const one = await embed({ input: [300, 301, 302] });
  assert.equal(one.usage.prompt_tokens, 3);
  const many = await embed({ input: [[300, 301, 302], [303]] });
  assert.deepEqual(many.data[0].embedding, one.data[0].embedding);
  assert.equal((await refused({ input: [[0]] })).param, 'input[0]');
  assert.equal((await refused({ input: [[9_999_999]] })).param, 'input[0]');
});

test('embeddings: what is not served is refused by name', async () => {
  for (const [field, extra, code] of [['dimensions', { dimensions: 64 }, 'unsupported_parameter'], ['input', { input: [] }, 'invalid_value'], ['input', { input: '' }, 'invalid_value'], ['input[1]', { input: ['a', ''] }, 'invalid_value'],
    ['input', { input: 7 }, 'wrong_type'], ['input', { input: undefined }, 'missing_field'], ['input', { input: Array.from({ length: 257 }, () => 'x') }, 'invalid_value'], ['encoding_format', { encoding_format: 'int8' }, 'invalid_value'],
    ['input[0]', { input: ['月'.repeat(20_000)] }, 'context_length_exceeded']]) {
    const error = await refused(extra);
    assert.deepEqual([error.param, error.code], [field, code]);
  }
});

test('embeddings: a model that makes none says so, in every form of their encoding', async () => {
  for (const encoding_format of [undefined, 'float', 'base64']) {
    const error = await refusal(kPath, { model: kModel, input: 'x', encoding_format }, 400);
    assert.deepEqual([error.param, error.code], ['model', 'embeddings_unsupported']);
    assert.match(error.message, /embeddings/);
  }
  assert.equal((await refusal(kPath, { model: 'no-such', input: 'x' }, 404)).code, 'model_not_found');
});
