// What the conformance files share: how to ask in each dialect, the clients as they come from the registry, and the checks
// that hold for every answer.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import OpenAI from 'openai';
import { patiently, stack } from './stack.mjs';

export const kModel = 'tang-moe';
export const kPrompt = '写一首关于月的五言绝句。';
export const messages = [{ role: 'user', content: kPrompt }];
export const ask = (extra = {}) => ({ model: kModel, messages, max_tokens: 40, ...extra });
export const askText = (extra = {}) => ({ model: kModel, prompt: '床前明月光', max_tokens: 12, ...extra });
export const askMessages = (extra = {}) => ({ model: kModel, max_tokens: 40, messages, ...extra });
export const askResponses = (extra = {}) => ({ model: kModel, input: kPrompt, max_output_tokens: 40, ...extra });

/** fetch that counts its calls and keeps what they said. */
export function counted(before = async () => {}, send = patiently) {
  const fetcher = async (...args) => {
    fetcher.calls += 1;
    const response = await send(...args);
    fetcher.statuses.push(response.status);
    await before(fetcher.calls, response);
    return response;
  };
  fetcher.calls = 0;
  fetcher.statuses = [];
  return fetcher;
}

/** The four, with their own defaults; `maxRetries` only where it is given. */
export const clients = ({ key = stack.apiKey, fetcher = patiently, baseURL = stack.baseUrl, origin = stack.origin, ...more } = {}) => ({
  openai: new OpenAI({ apiKey: key, baseURL, fetch: fetcher, ...more }),
  anthropic: new Anthropic({ apiKey: key, baseURL: origin, fetch: fetcher, ...more }),
  deepseek: createDeepSeek({ apiKey: key, baseURL, fetch: fetcher }),
  compatible: createOpenAICompatible({ name: 'tidegate', apiKey: key, baseURL, includeUsage: true, fetch: fetcher }),
});

export function post(path, body, { key = stack.apiKey, signal, headers = {}, origin = stack.origin } = {}) {
  return patiently(origin + path, {
    method: 'POST', signal, body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { ...(key && { Authorization: `Bearer ${key}` }), 'Content-Type': 'application/json', ...headers },
  });
}
export const get = (path, key = stack.apiKey) => fetch(stack.origin + path, { headers: key ? { Authorization: `Bearer ${key}` } : {} });

/** A whole answer. */
export async function answer(path, body, options) {
  const response = await post(path, body, options);
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

/** The events of a stream of OpenAI's, checked for their framing: JSON objects, then whether [DONE] came last. */
export async function events(response) {
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  assert.ok(text.endsWith('\n\n'), 'every event is whole');
  const frames = text.slice(0, -2).split('\n\n').filter((frame) => !frame.startsWith(':'));
  assert.ok(frames.every((frame) => frame.startsWith('data: ') && !frame.includes('\n')), text);
  const data = frames.map((frame) => frame.slice('data: '.length));
  const done = data.at(-1) === '[DONE]';
  return { done, all: (done ? data.slice(0, -1) : data).map((one) => JSON.parse(one)) };
}
export async function streamed(path, body, options) {
  const response = await post(path, { ...body, stream: true }, options);
  assert.equal(response.status, 200, response.status === 200 ? '' : await response.clone().text());
  return events(response);
}
export const chatEvents = (extra = {}) => streamed('/v1/chat/completions', ask(extra));

/** Events that have names: [{ event, data }], of Messages and Responses. */
export async function namedEvents(path, body) {
  const response = await post(path, { ...body, stream: true });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer());
  assert.ok(text.endsWith('\n\n'), 'every event is whole');
  return text.slice(0, -2).split('\n\n').filter((frame) => !frame.startsWith(':')).map((frame) => {
    const [first, second, ...rest] = frame.split('\n');
    assert.ok(first.startsWith('event: ') && second.startsWith('data: ') && rest.length === 0, frame);
    const data = JSON.parse(second.slice('data: '.length));
    assert.equal(first.slice('event: '.length), data.type, 'the name of an event is its type');
    return data;
  });
}

/** A refusal in OpenAI's shape; returns the error. */
export async function refusal(path, body, status, options) {
  const response = await post(path, body, options);
  assert.equal(response.status, status, await response.clone().text());
  return errorOf(response);
}
export async function errorOf(response) {
  assert.match(response.headers.get('content-type'), /^application\/json/);
  const { error } = await response.json();
  for (const member of ['message', 'type', 'param', 'code']) assert.ok(member in error, `error without ${member}`);
  assert.ok(error.message.length > 10, error.message);
  return error;
}

export function checkUsage(usage) {
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.equal(usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens, usage.prompt_tokens);
  assert.equal(usage.prompt_tokens_details.cached_tokens, usage.prompt_cache_hit_tokens);
  assert.ok(usage.completion_tokens_details.reasoning_tokens <= usage.completion_tokens);
  assert.equal(Number(usage.cost_details.amount), usage.cost);
}
