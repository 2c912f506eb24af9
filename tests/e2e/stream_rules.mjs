// The rules of a stream as state machines: bytes in as they come, broken rules out by name. OpenAI's chat completions and
// completions are here, Messages and Responses in named_stream_rules.mjs; 14_rules_can_fail.test.mjs shows that each rule
// can be broken.

function isObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** What every dialect shares: whole frames, whole characters, JSON, a last word, nothing behind it. */
export class StreamRules {
  broken = []; // { rule, detail }
  reason = null; // why the answer ended
  usage = null; // { prompt, completion, reasoning, amount }
  content = '';
  reasoning = '';
  error = null; // of a cut
  #rest = Buffer.alloc(0);

  /** `asked`: { maxTokens, context, includeUsage, stops, thinks, tools, isJson }; what is left out is not checked. */
  constructor(asked = {}) {
    this.asked = { stops: [], thinks: true, ...asked };
    this.state = 'start';
  }

  fail(rule, detail) {
    this.broken.push({ rule, detail: String(detail).slice(0, 300) });
  }
  hold(rule, condition, detail) {
    if (!condition) this.fail(rule, typeof detail === 'string' ? detail : JSON.stringify(detail));
  }
  get isOver() {
    return this.state === 'over' || this.state === 'cut';
  }

  feed(bytes) {
    const all = Buffer.concat([this.#rest, bytes]);
    let from = 0;
    for (let end = all.indexOf('\n\n'); end >= 0; end = all.indexOf('\n\n', from)) {
      this.#frame(all.subarray(from, end));
      from = end + 2;
    }
    this.#rest = Buffer.from(all.subarray(from));
  }

  /** No byte follows. `left`: the client went away, so the stream may end anywhere. */
  end({ left = false } = {}) {
    if (left) return this.broken;
    this.hold('framing', this.#rest.length === 0, `an event without its end: ${this.#rest}`);
    this.hold('cut', this.isOver, `the stream ends in state '${this.state}', with neither its end nor an error`);
    if (this.state === 'over') this.#checkWhole();
    return this.broken;
  }

  #checkWhole() {
    const { maxTokens, context, stops } = this.asked;
    for (const stop of stops) this.hold('stop-shown', !this.content.includes(stop), `'${stop}' in '${this.content}'`);
    if (!this.usage) return;
    const { prompt, completion } = this.usage;
    if (maxTokens !== undefined) this.hold('max-tokens', completion <= maxTokens, `${completion} tokens of ${maxTokens}`);
    if (maxTokens === undefined || this.reason !== 'length') return;
    this.hold('length', completion === maxTokens || (context !== undefined && prompt + completion >= context), `length after ${completion} tokens of ${maxTokens}`);
  }

  #frame(bytes) {
    let text;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      return this.fail('utf-8', bytes.toString('latin1'));
    }
    if (text.startsWith(':') && !text.includes('\n')) return undefined;
    if (this.isOver) return this.fail('after-the-end', text);
    return this.onFrame(text);
  }

  json(text) {
    try {
      const value = JSON.parse(text);
      if (typeof value === 'object' && value !== null) return value;
    } catch { /* below */ }
    this.fail('json', text);
    return null;
  }

  /** Text of a delta: there is some, and no half of a character. */
  text(text) {
    this.hold('empty-delta', typeof text === 'string' && text.length > 0, { text });
    this.hold('code-points', String(text).isWellFormed(), JSON.stringify(text));
    return String(text);
  }

  /** Calls that are whole, { name, arguments }: of a tool that was offered, with an object as JSON. */
  called(calls) {
    for (const { name, arguments: text } of calls) {
      if (this.asked.tools) this.hold('tool-name', this.asked.tools.includes(name), name);
      this.hold('tool-json', isObject(text), text);
    }
  }

  /** An answer that ended by itself, where JSON was asked for, is an object. */
  formatted() {
    if (this.asked.isJson) this.hold('format-json', isObject(this.content), this.content);
  }

  /** {message, type, param, code}: an error of OpenAI's. */
  openAiError(error) {
    for (const member of ['message', 'type', 'param', 'code']) this.hold('error-shape', error !== null && typeof error === 'object' && member in error, `no '${member}'`);
    this.error = error;
    this.state = 'cut';
  }

  count(usage, { prompt, completion, reasoning, cached }) {
    const amount = usage.cost_details?.amount;
    this.hold('usage-sums', [prompt, completion, reasoning, cached].every((each) => Number.isInteger(each) && each >= 0), usage);
    this.hold('usage-sums', prompt > 0 && reasoning <= completion && cached <= prompt, usage);
    this.hold('usage-cost', typeof amount === 'string' && Number(amount) === usage.cost, usage);
    this.usage = { prompt, completion, reasoning, amount };
  }
}

/** `data:` frames with chunks, [DONE] last. */
class ChunkRules extends StreamRules {
  #identity = null;

  onFrame(frame) {
    if (!frame.startsWith('data: ') || frame.includes('\n')) return this.fail('framing', frame);
    const data = frame.slice('data: '.length);
    if (data === '[DONE]') {
      this.hold('done', this.state === (this.asked.includeUsage ? 'counted' : 'finished'), `[DONE] in state '${this.state}'`);
      this.state = 'over';
      return undefined;
    }
    const chunk = this.json(data);
    if (!chunk) return undefined;
    if ('error' in chunk) return this.openAiError(chunk.error);
    this.#identify(chunk);
    if (!Array.isArray(chunk.choices)) return this.fail('index', data);
    if (chunk.choices.length === 0) return this.#counted(chunk);
    this.hold('index', chunk.choices.length === 1 && chunk.choices[0].index === 0, data);
    if (this.asked.includeUsage) this.hold('usage-null', chunk.usage === null, data);
    else this.hold('usage-unasked', (chunk.usage ?? null) === null, data);
    this.hold('after-finish', this.state === 'start' || this.state === 'open', data);
    this.onChoice(chunk.choices[0], data);
    return undefined;
  }

  #identify({ id, object, created, model, system_fingerprint }) {
    this.hold('object', object === this.object, object);
    this.hold('identity', typeof id === 'string' && id.startsWith(this.prefix) && Number.isInteger(created) && typeof model === 'string', { id, created, model });
    const identity = JSON.stringify([id, created, model, system_fingerprint]);
    this.#identity ??= identity;
    this.hold('identity', identity === this.#identity, `${identity} after ${this.#identity}`);
  }

  #counted({ usage }) {
    this.hold('usage-unasked', this.asked.includeUsage, 'a chunk without choices that nobody asked for');
    this.hold('usage-last', this.state === 'finished', `usage in state '${this.state}'`);
    this.state = 'counted';
    if (!usage) return this.fail('usage-sums', 'no usage in the chunk for it');
    this.count(usage, {
      prompt: usage.prompt_tokens, completion: usage.completion_tokens,
      reasoning: usage.completion_tokens_details?.reasoning_tokens, cached: usage.prompt_tokens_details?.cached_tokens,
    });
    this.hold('usage-sums', usage.total_tokens === usage.prompt_tokens + usage.completion_tokens, usage);
    this.hold('usage-sums', usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens === usage.prompt_tokens, usage);
    return undefined;
  }

  finish(reason, wanted) {
    this.hold('finish-reason', wanted.includes(reason), reason);
    this.reason = reason;
    this.state = 'finished';
  }
}

export class ChatRules extends ChunkRules {
  object = 'chat.completion.chunk';
  prefix = 'chatcmpl-';
  #tools = new Map(); // index -> { name, arguments }

  onChoice({ delta, finish_reason }, data) {
    if (this.state === 'start') {
      this.hold('role-first', delta.role === 'assistant' && delta.content === '', data);
      this.state = 'open';
      if (!finish_reason) return;
    } else {
      this.hold('role-once', !('role' in delta), data);
      if ('reasoning_content' in delta) {
        this.hold('reasoning-unasked', this.asked.thinks, data);
        this.hold('reasoning-first', this.content === '' && this.#tools.size === 0, data);
        this.reasoning += this.text(delta.reasoning_content);
      }
      if ('content' in delta) this.content += this.text(delta.content);
      for (const call of delta.tool_calls ?? []) this.#tool(call, data);
      if (!finish_reason) this.hold('empty-delta', Object.keys(delta).length > 0, data);
    }
    if (!finish_reason) return;
    this.finish(finish_reason, ['stop', 'length', 'tool_calls', 'content_filter']);
    if (finish_reason === 'tool_calls') this.called([...this.#tools.values()]);
    if (finish_reason === 'stop') this.formatted();
    this.hold('finish-tools', finish_reason === 'length' || (finish_reason === 'tool_calls') === (this.#tools.size > 0), data);
  }

  #tool(call, data) {
    this.hold('tool-index', Number.isInteger(call.index), data);
    if (this.#tools.has(call.index)) {
      this.hold('tool-arguments', typeof call.function?.arguments === 'string', data);
      this.#tools.get(call.index).arguments += call.function?.arguments ?? '';
      return;
    }
    this.hold('tool-index', call.index === this.#tools.size, data);
    this.#tools.set(call.index, { name: call.function?.name, arguments: call.function?.arguments ?? '' });
    this.hold('tool-start', typeof call.id === 'string' && call.type === 'function' && typeof call.function?.name === 'string', data);
  }
}

export class CompletionRules extends ChunkRules {
  object = 'text_completion';
  prefix = 'cmpl-';

  onChoice({ text, finish_reason }, data) {
    this.state = 'open';
    if (!finish_reason) {
      this.content += this.text(text);
      return;
    }
    this.hold('text', typeof text === 'string', data);
    this.content += text ?? '';
    this.finish(finish_reason, ['stop', 'length', 'content_filter']);
  }
}
