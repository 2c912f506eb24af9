// Valid requests at random, over all dialects, from one seed; and what is known of the answer before it comes.
import { MessagesRules, ResponsesRules } from './named_stream_rules.mjs';
import { ChatRules, CompletionRules } from './stream_rules.mjs';

const kPrompts = [
  '写一首关于月的五言绝句。', '床前明月光', '用一句话说说潮汐。', 'Write a poem about the sea.', '雪について俳句を書いてください。', '바다에 대한 시를 써 줘.',
  'Напиши стихотворение о море.', 'اكتب قصيدة عن القمر', 'समुद्र पर एक कविता लिखो', 'เขียนบทกวีเกี่ยวกับทะเล', 'Γράψε ένα ποίημα για τη θάλασσα', '🌊🌕👩‍👩‍👧 ß İ ﬁ 𝄞',
  '<｜User｜>not a turn<｜Assistant｜></think>', '{"json": "\\u0000"} \t\n"quoted"', 'a', '  \n ', 'x'.repeat(300), 'e\u0301 combining \u202e reversed',
];
const kStops = ['，', '。', '\n', '月', '山', '不', 'e', ' the', '，\n', '🌊', 'never written at all', '<｜User｜>'];

/** Decisions from a generator of numbers in [0, 1). */
export class Dice {
  constructor(next) {
    this.next = next;
  }
  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }
  between(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }
  chance(share) {
    return this.next() < share;
  }
  /** `{ ...fields }` with this likelihood, else nothing. */
  maybe(share, fields) {
    return this.chance(share) ? fields() : {};
  }
}

const tokens = (dice) => (dice.chance(0.3) ? dice.between(1, 3) : dice.chance(0.7) ? dice.between(4, 32) : dice.between(33, 120));
const sampling = (dice) => ({
  ...dice.maybe(0.5, () => ({ seed: dice.between(0, 1e6) })),
  ...dice.maybe(0.5, () => ({ temperature: dice.pick([0, 0.3, 0.7, 1, 1.5, 2]) })),
  ...dice.maybe(0.3, () => ({ top_p: dice.pick([0.1, 0.5, 0.9, 1]) })),
  ...dice.maybe(0.2, () => ({ top_k: dice.pick([0, 1, 20, -1]) })),
  ...dice.maybe(0.2, () => ({ [dice.pick(['whatever', 'cache_control', 'x_vendor'])]: dice.pick([1, null, {}, 'x']) })),
});
const stops = (dice) => (dice.chance(0.4) ? Array.from({ length: dice.between(1, 4) }, () => dice.pick(kStops)) : []);
const turns = (dice) => [
  ...(dice.chance(0.2) ? [{ role: 'user', content: dice.pick(kPrompts) }, { role: 'assistant', content: dice.pick(kPrompts) }] : []),
  { role: 'user', content: dice.pick(kPrompts) },
];

function chat(dice) {
  const maxTokens = tokens(dice);
  const stop = stops(dice);
  const isPrefix = dice.chance(0.15);
  const includeUsage = dice.chance(0.5);
  const body = {
    messages: [
      ...(dice.chance(0.2) ? [{ role: dice.pick(['system', 'developer']), content: dice.pick(kPrompts) }] : []),
      ...turns(dice).map((turn) => (dice.chance(0.2) ? { ...turn, content: [{ type: 'text', text: turn.content }] } : turn)),
      ...(isPrefix ? [{ role: 'assistant', content: '床前', prefix: true }] : []),
    ],
    [dice.pick(['max_tokens', 'max_completion_tokens'])]: maxTokens,
    ...sampling(dice),
    ...(stop.length > 0 && { stop: stop.length === 1 && dice.chance(0.5) ? stop[0] : stop }),
    ...dice.maybe(0.3, () => ({ presence_penalty: 0.5, user: 'u' })),
  };
  return {
    path: dice.pick(['/v1/chat/completions', '/chat/completions', '/beta/chat/completions']), body, includeUsage, Rules: ChatRules,
    asked: { maxTokens, stops: stop, includeUsage, thinks: !isPrefix },
  };
}

function completion(dice) {
  const maxTokens = tokens(dice);
  const echo = dice.chance(0.1);
  const stop = echo ? [] : stops(dice); // a prompt may well contain them
  const includeUsage = dice.chance(0.5);
  const body = {
    prompt: dice.pick([...kPrompts, '']), max_tokens: maxTokens, ...sampling(dice), ...(echo && { echo }), ...(stop.length > 0 && { stop }),
    ...dice.maybe(0.2, () => ({ suffix: dice.pick(kPrompts) })),
  };
  return { path: dice.pick(['/v1/completions', '/completions', '/beta/completions']), body, includeUsage, Rules: CompletionRules, asked: { maxTokens, stops: stop, includeUsage } };
}

function messages(dice) {
  const maxTokens = tokens(dice);
  const stop = stops(dice);
  const isPrefill = dice.chance(0.15);
  const body = {
    messages: [...turns(dice), ...(isPrefill ? [{ role: 'assistant', content: '床前' }] : [])], max_tokens: maxTokens, ...sampling(dice),
    ...(stop.length > 0 && { stop_sequences: stop }),
    ...dice.maybe(0.2, () => ({ system: dice.pick(['你是诗人。', [{ type: 'text', text: '你是诗人。' }]]) })),
    ...dice.maybe(0.2, () => ({ thinking: dice.pick([{ type: 'enabled', budget_tokens: 1024 }, { type: 'adaptive' }]) })),
  };
  return { path: dice.pick(['/v1/messages', '/anthropic/v1/messages', '/messages']), body, includeUsage: null, Rules: MessagesRules, asked: { maxTokens, stops: stop, thinks: !isPrefill } };
}

function responses(dice) {
  const maxTokens = tokens(dice);
  const body = {
    input: dice.chance(0.5) ? dice.pick(kPrompts) : turns(dice), max_output_tokens: maxTokens, ...sampling(dice),
    ...dice.maybe(0.2, () => ({ instructions: '你是诗人。' })), ...dice.maybe(0.2, () => ({ reasoning: { effort: 'low' } })),
  };
  return { path: dice.pick(['/v1/responses', '/responses']), body, includeUsage: null, Rules: ResponsesRules, asked: { maxTokens } };
}

const kDialects = [['chat', chat, 4], ['completions', completion, 2], ['messages', messages, 2], ['responses', responses, 2]];
/** 'reads' all of a stream, reads it 'slow', 'leaves' in the middle, or asks for the 'whole' answer at once. */
const kClients = [['reads', 12], ['slow', 3], ['leaves', 3], ['whole', 2]];

function weighted(dice, list) {
  let left = dice.next() * list.reduce((sum, each) => sum + each.at(-1), 0);
  return list.find((each) => (left -= each.at(-1)) < 0) ?? list[0];
}

/** { dialect, client, path, body, Rules, asked, patience }: `patience` is parts read before leaving. */
export function generation(next, model, context) {
  const dice = new Dice(next);
  const [dialect, make] = weighted(dice, kDialects);
  const [client] = weighted(dice, kClients);
  const made = make(dice);
  const isStream = client !== 'whole';
  const body = { model, ...made.body, ...(isStream && { stream: true }) };
  if (isStream && made.includeUsage !== null && (made.includeUsage || dice.chance(0.3))) body.stream_options = { include_usage: made.includeUsage };
  return { ...made, dialect, client, body, asked: { ...made.asked, context }, patience: dice.between(0, 8) };
}

const kSchema = {
  type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 9 }, unit: { enum: ['c', 'f'] } },
  required: ['city', 'days', 'unit'], additionalProperties: false,
};
const kForms = {
  tool: { tools: [{ type: 'function', function: { name: 'get_weather', parameters: kSchema, strict: true } }], tool_choice: { type: 'function', function: { name: 'get_weather' } } },
  schema: { response_format: { type: 'json_schema', json_schema: { name: 'weather', schema: kSchema, strict: true } } },
  object: { response_format: { type: 'json_object' } },
};

/**
 * Some of the chats ask for a call or for JSON, of a model that keeps to it; the others stay as they are. `next` is a
 * generator of its own, so that a seed still gives the requests it gave.
 */
export function shaped(generated, next, model) {
  const dice = new Dice(next);
  const form = dice.pick(Object.keys(kForms));
  if (!dice.chance(0.3) || generated.dialect !== 'chat') return generated;
  const { stop, ...body } = generated.body; // a stop string may cut JSON in two
  const messages = [{ role: 'user', content: 'The weather in 杭州, as JSON.' }];
  const asked = { ...generated.asked, stops: [], thinks: true, context: undefined, ...(form === 'tool' ? { tools: ['get_weather'] } : { isJson: true }) };
  return { ...generated, body: { ...body, model, messages, ...kForms[form] }, asked };
}

/** The rules of streams on an answer that was none: its texts, its end, its counts. */
export function wholeRules(generated, body) {
  const rules = new generated.Rules(generated.asked);
  rules.state = 'over';
  const { usage } = body;
  if (generated.dialect === 'chat' || generated.dialect === 'completions') {
    const [choice] = body.choices;
    rules.content = choice.message?.content ?? choice.text ?? '';
    rules.reason = choice.finish_reason;
    if (rules.reason === 'tool_calls') rules.called(choice.message.tool_calls.map((call) => call.function));
    if (rules.reason === 'stop') rules.formatted();
    rules.count(usage, { prompt: usage.prompt_tokens, completion: usage.completion_tokens, reasoning: usage.completion_tokens_details.reasoning_tokens, cached: usage.prompt_tokens_details.cached_tokens });
  } else if (generated.dialect === 'messages') {
    rules.content = body.content.filter(({ type }) => type === 'text').map(({ text }) => text).join('');
    rules.reason = body.stop_reason === 'max_tokens' ? 'length' : body.stop_reason;
    rules.count(usage, { prompt: usage.input_tokens + usage.cache_read_input_tokens, completion: usage.output_tokens, reasoning: usage.output_tokens_details.thinking_tokens, cached: usage.cache_read_input_tokens });
  } else {
    rules.content = body.output.filter(({ type }) => type === 'message').map(({ content }) => content[0].text).join('');
    rules.reason = body.status === 'incomplete' ? 'length' : 'stop';
    rules.count(usage, { prompt: usage.input_tokens, completion: usage.output_tokens, reasoning: usage.output_tokens_details.reasoning_tokens, cached: usage.input_tokens_details.cached_tokens });
  }
  rules.hold('code-points', rules.content.isWellFormed(), JSON.stringify(rules.content));
  return rules;
}
