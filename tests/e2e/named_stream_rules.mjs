// Streams whose events have names: Anthropic's Messages and OpenAI's Responses. See stream_rules.mjs.
import { StreamRules } from './stream_rules.mjs';

class NamedRules extends StreamRules {
  onFrame(frame) {
    const match = frame.match(/^event: (\S+)\ndata: ([^\n]*)$/);
    if (!match) return this.fail('framing', frame);
    const event = this.json(match[2]);
    if (!event) return undefined;
    this.hold('event-name', event.type === match[1], frame);
    return this.onEvent(event, match[2]);
  }
}

const kBlockText = { thinking: 'thinking', text: 'text', tool_use: 'partial_json' };
const kBlockDelta = { thinking: 'thinking_delta', text: 'text_delta', tool_use: 'input_json_delta' };

export class MessagesRules extends NamedRules {
  #blocks = -1; // index of the last block that was opened
  #open = null; // { type, isSigned }

  onEvent(event, data) {
    switch (event.type) {
      case 'ping': return undefined;
      case 'error': return this.#cut(event);
      case 'message_start': return this.#start(event, data);
      case 'content_block_start': return this.#openBlock(event, data);
      case 'content_block_delta': return this.#delta(event, data);
      case 'content_block_stop': return this.#closeBlock(event, data);
      case 'message_delta': return this.#end(event, data);
      case 'message_stop':
        this.hold('order', this.state === 'ended', `message_stop in state '${this.state}'`);
        this.state = 'over';
        return undefined;
      default: return this.fail('event-type', data);
    }
  }

  #cut({ error, request_id }) {
    this.hold('error-shape', typeof error?.type === 'string' && typeof error?.message === 'string' && typeof request_id === 'string', { error, request_id });
    this.error = error;
    this.state = 'cut';
  }

  #start({ message }, data) {
    this.hold('start-first', this.state === 'start', data);
    this.hold('start-shape', message?.type === 'message' && message.role === 'assistant' && message.content?.length === 0 && message.stop_reason === null && /^msg_/.test(message.id), data);
    this.state = 'open';
  }

  #openBlock({ index, content_block: block }, data) {
    this.hold('start-first', this.state === 'open', data);
    this.hold('block-nesting', this.#open === null, data);
    this.hold('block-index', index === this.#blocks + 1, data);
    const isFirst = this.#blocks < 0;
    this.#blocks = index;
    this.hold('block-type', block?.type in kBlockText, data);
    if (block?.type !== 'tool_use') this.hold('block-empty', block?.[kBlockText[block?.type]] === '', data);
    if (block?.type === 'thinking') {
      this.hold('reasoning-unasked', this.asked.thinks, data);
      this.hold('reasoning-first', isFirst, data);
    }
    this.#open = { type: block?.type, isSigned: false };
  }

  #delta({ index, delta }, data) {
    this.hold('block-nesting', this.#open !== null && index === this.#blocks, data);
    if (!this.#open) return;
    const { type } = this.#open;
    this.hold('signature', !this.#open.isSigned, data);
    if (type === 'thinking' && delta?.type === 'signature_delta') {
      this.#open.isSigned = true;
      this.hold('signature', delta.signature?.length > 0, data);
      return;
    }
    this.hold('delta-type', delta?.type === kBlockDelta[type], data);
    if (type === 'thinking') this.reasoning += this.text(delta?.thinking);
    else if (type === 'text') this.content += this.text(delta?.text);
  }

  #closeBlock({ index }, data) {
    this.hold('block-nesting', this.#open !== null && index === this.#blocks, data);
    if (this.#open?.type === 'thinking') this.hold('signature', this.#open.isSigned, data);
    this.#open = null;
  }

  #end({ delta, usage }, data) {
    this.hold('order', this.state === 'open', `message_delta in state '${this.state}'`);
    this.hold('block-nesting', this.#open === null, data);
    this.hold('finish-reason', ['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal'].includes(delta?.stop_reason), data);
    this.hold('stop-sequence', (delta?.stop_reason === 'stop_sequence') === (typeof delta?.stop_sequence === 'string'), data);
    if (delta?.stop_reason === 'stop_sequence') this.hold('stop-sequence', this.asked.stops.includes(delta.stop_sequence), data);
    this.reason = delta?.stop_reason === 'max_tokens' ? 'length' : delta?.stop_reason;
    this.state = 'ended';
    if (!usage) return this.fail('usage-sums', data);
    this.count(usage, {
      prompt: usage.input_tokens + usage.cache_read_input_tokens, cached: usage.cache_read_input_tokens,
      completion: usage.output_tokens, reasoning: usage.output_tokens_details?.thinking_tokens,
    });
    return undefined;
  }
}

const kEnds = { 'response.completed': 'completed', 'response.incomplete': 'incomplete', 'response.failed': 'failed' };

export class ResponsesRules extends NamedRules {
  #sequence = 0;
  #id = null;
  #items = []; // { id, type, text, state: 'added' | 'part' | 'text' | 'part-done' | 'done' }
  #failed = false;

  onEvent(event, data) {
    this.hold('sequence', event.sequence_number === this.#sequence, data);
    this.#sequence += 1;
    if (event.type === 'error') return this.#cut(event);
    this.hold('failed-then-error', !this.#failed, data);
    if (event.response) {
      this.#id ??= event.response.id;
      this.hold('identity', event.response.id === this.#id && /^resp_/.test(this.#id), data);
    }
    if (event.type in kEnds) return this.#end(event, data);
    if (event.type === 'response.created') return this.#step('start', 'created', data);
    if (event.type === 'response.in_progress') return this.#step('created', 'open', data);
    this.hold('order', this.state === 'open', data);
    const item = event.type === 'response.output_item.added' ? this.#add(event, data) : this.#items.at(-1);
    if (!item) return this.fail('order', data);
    this.hold('place', event.output_index === this.#items.length - 1 && (event.item_id ?? event.item?.id) === item.id, data);
    switch (event.type) {
      case 'response.output_item.added': return undefined;
      case 'response.content_part.added': return this.#move(item, 'added', 'part', event.part?.text === '', data);
      case 'response.reasoning_text.delta':
      case 'response.output_text.delta': return this.#delta(item, event, data);
      case 'response.reasoning_text.done':
      case 'response.output_text.done': return this.#move(item, 'part', 'text', event.text === item.text, data);
      case 'response.content_part.done': return this.#move(item, 'text', 'part-done', event.part?.text === item.text, data);
      case 'response.output_item.done': return this.#move(item, 'part-done', 'done', event.item?.content?.[0]?.text === item.text, data);
      default: return this.fail('event-type', data);
    }
  }

  #step(from, to, data) {
    this.hold('order', this.state === from, data);
    this.state = to;
  }

  #move(item, from, to, hasText, data) {
    this.hold('item-order', item.state === from, `${data} in state '${item.state}'`);
    this.hold('done-text', hasText, data);
    item.state = to;
  }

  #add({ item }, data) {
    const last = this.#items.at(-1);
    this.hold('item-order', !last || last.state === 'done', data);
    this.hold('item-type', item?.type === 'reasoning' || item?.type === 'message', data);
    if (item?.type === 'reasoning') {
      this.hold('reasoning-unasked', this.asked.thinks, data);
      this.hold('reasoning-first', !last, data);
    }
    this.hold('identity', this.#items.every(({ id }) => id !== item?.id), data);
    this.#items.push({ id: item?.id, type: item?.type, text: '', state: 'added' });
    return this.#items.at(-1);
  }

  #delta(item, event, data) {
    this.hold('item-order', item.state === 'part', `${data} in state '${item.state}'`);
    this.hold('delta-type', event.type === (item.type === 'reasoning' ? 'response.reasoning_text.delta' : 'response.output_text.delta'), data);
    const text = this.text(event.delta);
    item.text += text;
    if (item.type === 'reasoning') this.reasoning += text;
    else this.content += text;
  }

  #end({ type, response }, data) {
    this.hold('order', this.state === 'open', data);
    this.hold('end-status', response?.status === kEnds[type], data);
    if (type === 'response.failed') {
      this.#failed = true;
      this.hold('error-shape', typeof response?.error?.code === 'string', data);
      return;
    }
    this.hold('item-order', this.#items.every(({ state }) => state === 'done'), 'an item was left open');
    const output = (response?.output ?? []).map((item) => [item.id, item.content?.[0]?.text]);
    this.hold('end-output', JSON.stringify(output) === JSON.stringify(this.#items.map(({ id, text }) => [id, text])), output);
    this.reason = type === 'response.incomplete' ? 'length' : 'stop';
    this.state = 'over';
    const { usage } = response ?? {};
    if (!usage) return this.fail('usage-sums', data);
    this.count(usage, {
      prompt: usage.input_tokens, completion: usage.output_tokens,
      cached: usage.input_tokens_details?.cached_tokens, reasoning: usage.output_tokens_details?.reasoning_tokens,
    });
    this.hold('usage-sums', usage.total_tokens === usage.input_tokens + usage.output_tokens, usage);
    return undefined;
  }

  #cut(event) {
    this.hold('failed-then-error', this.#failed, JSON.stringify(event));
    this.openAiError(event.error ?? null);
  }
}
