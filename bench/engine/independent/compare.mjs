// Greedy continuations of one GGUF file by this engine and by llama.cpp, compared token by token.
//   compare.mjs --model FILE.gguf --greedy BIN --peer FOLDER [--text FOLDER --tidegate BIN] [--prompts 20] [--tokens 64] [--tie 1e-5]
//     [--server URL]
// Prompts are random ids of the model's vocabulary (the same for every run), or with --text those of prompts.json, encoded by
// this tokenizer from FOLDER and, for comparison, by llama.cpp from the GGUF file. --server takes a running llama-server (of
// ik_llama.cpp, say) instead of the library in FOLDER/node_modules. Prints one JSON object. Exit 0: no difference; 3: near ties
// only; 1: a difference that is none. A near tie is a first difference where the peer took our second choice, and our first led it by
// at most --tie times the root mean square of that step's logits. What a prompt says after its first difference is not compared.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' }, greedy: { type: 'string' }, peer: { type: 'string' }, server: { type: 'string' },
    text: { type: 'string' }, tidegate: { type: 'string' }, prompts: { type: 'string', default: '20' },
    tokens: { type: 'string', default: '64' }, threads: { type: 'string', default: '2' }, tie: { type: 'string', default: '1e-5' },
  },
});
for (const name of ['model', 'greedy']) if (!options[name]) throw new Error(`--${name} is needed`);
if (!options.peer && !options.server) throw new Error('--peer FOLDER (with node_modules/node-llama-cpp) or --server URL is needed');
const wanted = Number(options.prompts);
const length = Number(options.tokens);
const threads = Number(options.threads);
const tie = Number(options.tie);
if (!(tie >= 0 && tie < 1)) throw new Error('--tie is a share of the logits, from 0 on and below 1');

/** Lines that a program prints for what it is given. */
async function ask(program, words, input) {
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  child.stdin.on('error', () => {});  // it ended early: the exit code says so
  child.stdin.end(input);
  let text = '';
  child.stdout.setEncoding('utf8');
  for await (const piece of child.stdout) text += piece;
  const code = await ended;
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
}

/** Mulberry32: small, and the same everywhere. */
function random(seed) {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

async function readPrompts(facts) {
  if (options.text) {
    const texts = JSON.parse(readFileSync(path.join(here, 'prompts.json'), 'utf8')).slice(0, wanted);
    if (texts.length < wanted) throw new Error(`prompts.json has ${texts.length} prompts, not ${wanted}`);
    if (!options.tidegate) throw new Error('--text needs --tidegate, the command line that encodes');
    const ids = await ask(options.tidegate, ['tokenize', '--model', options.text, '--plain'], texts.map((text) => JSON.stringify(text)).join('\n') + '\n');
    return texts.map((text, i) => ({ text, ids: ids[i] }));
  }
  const below = random(20);
  return Array.from({ length: wanted }, (_, i) => {
    // From 1 token to some hundreds: past a KV block, and past yarn's original context where the model has a small one.
    const size = Math.min([1, 2, 7, 33, 64, 65, 130, 200][i % 8] + below(16), facts.context - length - 1);
    return { ids: Array.from({ length: size }, () => below(facts.vocab)) };
  });
}

/** llama.cpp from npm, on the CPU, with keys and values in F32 and without flash attention: its most exact way. */
async function openLibrary() {
  const entry = path.join(options.peer, 'node_modules/node-llama-cpp/dist/index.js');
  const { getLlama } = await import(pathToFileURL(path.resolve(entry)).href);
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true });
  const model = await llama.loadModel({ modelPath: path.resolve(options.model), gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 1024, batchSize: 512, threads, flashAttention: false,
    experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32',
  });
  const sequence = context.getSequence();
  return {
    name: `llama.cpp ${llama.llamaCppRelease?.release ?? ''}`.trim(),
    encode: (text) => Array.from(model.tokenize(text, false)),
    async greedy(ids) {
      await sequence.clearHistory();
      const out = [];
      for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
        out.push(Number(token));
        if (out.length === length) break;
      }
      return out;
    },
    async close() { await context.dispose(); await model.dispose(); await llama.dispose(); },
  };
}

async function post(route, body) {
  const response = await fetch(new URL(route, options.server), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

function openServer() {
  return {
    name: options.server,
    encode: async (text) => (await post('/tokenize', { content: text, add_special: false, parse_special: false })).tokens,
    async greedy(ids) {
      const answer = await post('/completion', {
        prompt: ids, n_predict: length, temperature: 0, top_k: 1, seed: 1, ignore_eos: false, cache_prompt: false, return_tokens: true,
      });
      if (!Array.isArray(answer.tokens) || answer.tokens.length === 0) throw new Error('the server gives no token ids (return_tokens)');
      return answer.tokens;
    },
    async close() {},
  };
}

const words = [options.model, String(length), String(threads)];
const [facts] = await ask(options.greedy, words, '');
const prompts = await readPrompts(facts);
const own = (await ask(options.greedy, words, prompts.map(({ ids }) => JSON.stringify(ids)).join('\n') + '\n')).slice(1);
const peer = options.server ? openServer() : await openLibrary();
const differences = [];
let tokensEqual = 0;
let tokensCompared = 0;
let encodedAlike = 0;
for (const [i, { ids, text }] of prompts.entries()) {
  if (text !== undefined) {
    const theirs = await peer.encode(text);
    if (JSON.stringify(theirs) === JSON.stringify(ids)) encodedAlike += 1;
    else differences.push({ prompt: i, text, encoded: ids, peer_encoded: theirs });
  }
  const theirs = await peer.greedy(ids);
  const { tokens, margins, seconds, rms } = own[i];
  // A server stops at the end of its answer; the library goes on as this engine does.
  const compared = options.server ? Math.min(tokens.length, theirs.length) : length;
  let at = 0;
  while (at < compared && tokens[at] === theirs[at]) at += 1;
  tokensEqual += at;
  tokensCompared += compared;
  if (at < compared) {
    const peerToken = theirs[at] ?? null;
    differences.push({
      prompt: i, step: at, token: tokens[at], peer_token: peerToken, second: seconds[at], margin: margins[at], rms: rms[at],
      near_tie: peerToken === seconds[at] && margins[at] <= tie * rms[at],
    });
  }
}
await peer.close();
const unequal = new Set(differences.map((difference) => difference.prompt)).size;
const nearTies = differences.filter((difference) => difference.near_tie === true).length;
console.log(JSON.stringify({
  model: path.basename(options.model), architecture: facts.architecture, weights_digest: facts.weights_digest, parameters: facts.parameters,
  peer: peer.name, prompts: prompts.length, tokens_each: length, prompts_equal: prompts.length - unequal,
  tokens_compared: tokensCompared, tokens_equal_before_a_difference: tokensEqual,
  near_ties: nearTies, other_differences: differences.length - nearTies, tie,
  ...(options.text ? { encoded_alike: encodedAlike } : {}),
  smallest_margin: Math.min(...own.flatMap(({ margins }) => margins)),
  steps_as_close_as_a_tie: own.reduce((sum, { margins, rms }) => sum + margins.filter((margin, n) => margin <= tie * rms[n]).length, 0),
  differences,
}, null, 1));
process.exit(differences.length === 0 ? 0 : nearTies === differences.length ? 3 : 1);
