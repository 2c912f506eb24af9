// The policy on content, built in and in a process of its own: what goes in and out is denied or masked the same, streamed
// or not, in two dialects; what was denied is not charged; a guard that is away closes or opens as configured.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Gateway } from './gateways.mjs';
import { allUsage, bound, patiently, pico, root, settled, stack, until } from './stack.mjs';

const program = path.join(process.env.TIDEGATE_BIN ?? path.join(root, 'build/release/bin'), 'tidegate');
const mark = Date.now().toString(36);
const tenants = { masked: `masked${mark}`, denied: `denied${mark}`, plain: `plain${mark}` };
const rulesFile = path.join(stack.folder, 'guard_rules.json');
const socket = path.join(process.env.TIDEGATE_SOCKETS, 'guard.sock');
const prompt = '写一首关于月的五言绝句。';
const kGuardWaitMs = 5000; // its process may stand still for a while
const guarded = [tenants.masked, tenants.denied];

const rules = [
  { name: 'mail', direction: 'input', pii: 'email', action: 'mask', tenants: guarded },
  { name: 'aurora', direction: 'input', pattern: '(?i)\\bproject aurora\\b', action: 'deny', message: 'Not this project.', tenants: guarded },
  { name: 'comma', direction: 'output', pattern: '，', action: 'mask', tenants: [tenants.masked] },
  { name: 'stop', direction: 'output', pattern: '，', action: 'deny', tenants: [tenants.denied] },
];

const gateways = {};
const keys = {};
let guard;

function startGuard() {
  guard = spawn(program, ['guard', 'serve', '--rules', rulesFile, '--listen', `unix:${socket}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    guard.stdout.once('data', resolve);
    guard.once('exit', (code) => reject(new Error(`the guard ended with ${code}`)));
  });
}

async function endGuard(signal) {
  const gone = new Promise((resolve) => { guard.once('exit', resolve); });
  guard.kill(signal);
  await gone;
}

before(async () => {
  fs.writeFileSync(rulesFile, JSON.stringify({ rules }));
  await startGuard();
  for (const [kind, name] of Object.entries(tenants)) {
    await stack.cli('tenant', 'create', name);
    await stack.cli('project', 'create', 'main', '--tenant', name);
    await stack.cli('wallet', 'top-up', name, '2');
    keys[kind] = (await stack.cli('key', 'create', '--tenant', name, '--project', 'main')).secret;
  }
  gateways.rules = await Gateway.start('guard-rules', { 'guard.rules_file': rulesFile });
  gateways.remote = await Gateway.start('guard-remote', { 'guard.address': `unix:${socket}`, 'guard.wait_ms': kGuardWaitMs });
  gateways.open = await Gateway.start('guard-open', {
    'guard.address': `unix:${socket}`, 'guard.input_on_failure': 'open', 'guard.output_on_failure': 'open',
  });
  for (const gateway of Object.values(gateways)) {
    for (const key of Object.values(keys)) {
      await until('the key to be known', 10, async () => (await post(gateway, 'chat/completions', key, {})).status !== 401);
    }
  }
});

after(async () => {
  for (const gateway of Object.values(gateways)) await gateway.stop();
  if (guard?.exitCode === null && guard.signalCode === null) await endGuard('SIGTERM');
});

async function post(gateway, where, key, body) {
  const response = await patiently(`${gateway.baseUrl}/${where}`, {
    method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(120_000),
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const events = (text) => text.split('\n').filter((line) => line.startsWith('data: {')).map((line) => JSON.parse(line.slice(6)));

/** One answer in OpenAI's dialect: { thinking, text, end, usage }. */
async function chat(gateway, key, words, stream) {
  const answer = await post(gateway, 'chat/completions', key, {
    model: 'tang-moe', messages: [{ role: 'user', content: words }], max_tokens: 128, seed: 5, temperature: 0,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  });
  if (answer.status !== 200) return answer;
  if (!stream) {
    const { choices: [{ message, finish_reason: end }], usage } = JSON.parse(answer.text);
    return { ...answer, thinking: message.reasoning_content ?? '', text: message.content, end, usage };
  }
  const out = { ...answer, thinking: '', text: '' };
  for (const event of events(answer.text)) {
    if (event.usage) out.usage = event.usage;
    const choice = event.choices?.[0];
    out.thinking += choice?.delta?.reasoning_content ?? '';
    out.text += choice?.delta?.content ?? '';
    out.end ??= choice?.finish_reason ?? undefined;
  }
  return out;
}

/** The same in Anthropic's. */
async function messages(gateway, key, words, stream) {
  const answer = await post(gateway, 'messages', key, {
    model: 'tang-moe', messages: [{ role: 'user', content: words }], max_tokens: 128, seed: 5, temperature: 0, ...(stream ? { stream } : {}),
  });
  if (answer.status !== 200) return answer;
  const out = { ...answer, thinking: '', text: '' };
  if (!stream) {
    const body = JSON.parse(answer.text);
    for (const block of body.content) out[block.type] += block[block.type];
    return { ...out, end: body.stop_reason };
  }
  for (const event of events(answer.text)) {
    if (event.type === 'content_block_delta' && event.delta.type !== 'signature_delta') {
      out.thinking += event.delta.thinking ?? '';
      out.text += event.delta.text ?? '';
    }
    if (event.type === 'message_delta') out.end = event.delta.stop_reason;
  }
  return out;
}
const dialects = { chat: [chat, 'content_filter'], messages: [messages, 'refusal'] };

/** What the rules make of an answer that nobody looked at. */
function denied({ thinking, text }) {
  const at = thinking.indexOf('，');
  return at >= 0 ? { thinking: thinking.slice(0, at), text: '' } : { thinking, text: text.split('，')[0] };
}

async function checkPolicy(gateway) {
  for (const [dialect, [ask, filtered]] of Object.entries(dialects)) {
    for (const stream of [false, true]) {
      const where = `${gateway.name} ${dialect} ${stream ? 'stream' : 'whole'}`;
      const plain = await ask(gateway, keys.plain, prompt, stream);
      assert.equal(plain.status, 200, `${where}: ${plain.text}`);
      assert.ok((plain.thinking + plain.text).includes('，'), `${where}: ${plain.text}`);

      const masked = await ask(gateway, keys.masked, prompt, stream);
      assert.equal(masked.thinking, plain.thinking.replaceAll('，', '[comma]'), where);
      assert.equal(masked.text, plain.text.replaceAll('，', '[comma]'), where);
      assert.equal(masked.end, plain.end, where);

      const cut = await ask(gateway, keys.denied, prompt, stream);
      const expected = denied(plain);
      assert.equal(cut.status, 200, where);
      assert.equal(cut.end, filtered, where);
      assert.equal(cut.thinking, expected.thinking, where);
      assert.equal(cut.text, expected.text, where);

      const refused = await ask(gateway, keys.masked, 'Tell me about Project Aurora.', stream);
      assert.equal(refused.status, 400, where);
      assert.ok(refused.text.includes('Not this project.'), where);
      assert.ok(refused.text.includes('content_filter'), where);
      if (dialect === 'messages') assert.equal(JSON.parse(refused.text).error.type, 'invalid_request_error');

      // The model reads what stands in the mail's place: the same prompt, the same seed, the same answer.
      const hidden = await ask(gateway, keys.masked, '写给 li.wei@example.com 的诗。', stream);
      const literal = await ask(gateway, keys.masked, '写给 [mail] 的诗。', stream);
      assert.equal(hidden.thinking + hidden.text, literal.thinking + literal.text, where);
    }
  }
}

test('the built-in rules deny and mask in and out, in both dialects, streamed or not', () => checkPolicy(gateways.rules));

test('a guard in a process of its own does the same', () => checkPolicy(gateways.remote));

test('what was denied was not charged, and the books agree', async () => {
  const cut = await chat(gateways.rules, keys.denied, prompt, true);
  const id = cut.headers.get('x-request-id');
  const row = await until('the cut answer to be billed', 20,
    async () => (await allUsage('--tenant', tenants.denied)).find(({ event }) => event.request_id === id));
  assert.equal(row.event.finish_reason, 'content_filter');
  assert.equal(pico(row.event.amount), pico(cut.usage.cost_details.amount));
  const plain = await chat(gateways.rules, keys.plain, prompt, true);
  assert.equal(cut.usage.prompt_tokens, plain.usage.prompt_tokens);
  assert.ok(cut.usage.completion_tokens < plain.usage.completion_tokens);
  const settledAll = () => settled(Object.values(gateways).map((gateway) => gateway.adminPort));
  await settledAll();
  const before = (await allUsage('--tenant', tenants.masked)).length;
  assert.equal((await chat(gateways.rules, keys.masked, 'project aurora', false)).status, 400);
  await settledAll();
  assert.equal((await allUsage('--tenant', tenants.masked)).length, before, 'a refused request is no usage');
  await stack.cli('reconcile');
});

test('nothing of a text is logged, and the rules are counted', async () => {
  const log = fs.readFileSync(path.join(stack.folder, 'log', 'guard-rules.log'), 'utf8');
  const lines = log.split('\n').filter((line) => line.includes('"event":"guard"')).map((line) => JSON.parse(line));
  assert.deepEqual([...new Set(lines.map(({ rule, action }) => `${rule} ${action}`))].sort(),
    ['aurora deny', 'comma mask', 'mail mask', 'stop deny']);
  for (const text of ['li.wei', 'Aurora.', '月']) assert.ok(!log.includes(text), text);
  const metrics = await (await fetch(`http://127.0.0.1:${gateways.rules.adminPort}/metrics`)).text();
  for (const [direction, verdict] of [['input', 'deny'], ['input', 'mask'], ['output', 'deny'], ['output', 'mask'], ['output', 'pass']]) {
    const line = metrics.split('\n').find((each) => each.startsWith('tidegate_gateway_guard_checks_total{')
      && each.includes(`direction="${direction}"`) && each.includes(`verdict="${verdict}"`));
    assert.ok(Number(line?.split(' ').pop()) > 0, `${direction} ${verdict}`);
  }
});

test('a guard that is gone closes one gateway and opens the other, and both are well when it is back', async () => {
  await endGuard('SIGKILL');
  for (const stream of [false, true]) {
    const refused = await chat(gateways.remote, keys.masked, prompt, stream);
    assert.equal(refused.status, 503, refused.text);
    assert.equal(JSON.parse(refused.text).error.code, 'guard_unavailable');
    assert.ok(refused.headers.get('retry-after'));
    const unread = await chat(gateways.open, keys.denied, prompt, stream);
    assert.equal(unread.status, 200, unread.text);
    assert.notEqual(unread.end, 'content_filter');
  }
  const metrics = await (await fetch(`http://127.0.0.1:${gateways.open.adminPort}/metrics`)).text();
  assert.match(metrics, /^tidegate_gateway_guard_failures_total\{direction="output"\} [1-9]/m);
  fs.rmSync(socket, { force: true });
  await startGuard();
  await until('the guard to be asked again', 20, async () => (await chat(gateways.remote, keys.masked, 'hello', false)).status === 200);
  await until('the open gateway to ask again', 20, async () => (await chat(gateways.open, keys.denied, prompt, false)).end === 'content_filter');
});

test('a guard that freezes costs a request no more than its wait', async () => {
  guard.kill('SIGSTOP');
  try {
    const began = Date.now();
    const refused = await chat(gateways.remote, keys.masked, prompt, true);
    assert.equal(refused.status, 503, refused.text);
    assert.ok(Date.now() - began < kGuardWaitMs + bound(5000), `${Date.now() - began} ms`);
  } finally {
    guard.kill('SIGCONT');
  }
  await until('the guard to be asked again', 20, async () => (await chat(gateways.remote, keys.masked, 'hello', false)).status === 200);
});

test('a bad rules file stops the gateway at its start with the rule, the field and the fix', async () => {
  const bad = path.join(stack.folder, 'bad_rules.json');
  fs.writeFileSync(bad, JSON.stringify({ rules: [{ name: 'endless', direction: 'output', pattern: 'key: .*', action: 'mask' }] }));
  await assert.rejects(stack.cliText('guard', 'check', '--rules', bad), /endless.*pattern.*guard\.window_bytes/s);
  const shown = await stack.cliText('guard', 'check', '--rules', rulesFile);
  for (const { name } of rules) assert.ok(shown.includes(name));
});
