// peer.mjs FOLDER FILE.gguf THREADS PREFILL DECODE ROUNDS wall|cpu: llama.cpp's figures for a file, by the library in FOLDER/node_modules.
// PREFILL and DECODE are lists as engine_bench takes them. Prints one JSON object in the manner of engine_bench.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, file, threadsText, prefillText, decodeText, roundsText, clock] = process.argv.slice(2);
const list = (text) => text.split(',').filter((word) => word !== '').map(Number);
const threads = Number(threadsText);
const rounds = Number(roundsText);
const now = () => {
  if (clock !== 'cpu') return performance.now();
  const used = process.cpuUsage();
  return (used.user + used.system) / 1000 / threads;
};
const CONTEXT = 128;
const STEPS = 48;

const { getLlama } = await import(pathToFileURL(path.resolve(folder, 'node_modules/node-llama-cpp/dist/index.js')).href);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: threads, logLevel: 'error' });
const model = await llama.loadModel({ modelPath: path.resolve(file), gpuLayers: 0 });

function ids(count, seed) {
  let state = (12345 + seed * 7919) >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 259 + ((state >>> 8) % (32000 - 259));
  });
}

const figures = [];
function add(what, size, rates) {
  figures.push({ what, size, tokens_per_s: Math.max(...rates), rounds: rates });
}

async function withContext(sequences, size, body) {
  const context = await model.createContext({ sequences, contextSize: size, batchSize: 512 * Math.min(sequences, 4), threads: { ideal: threads, min: threads }, flashAttention: false });
  const all = Array.from({ length: sequences }, () => context.getSequence());
  await body(all);
  await context.dispose();
}

for (const count of list(prefillText)) {
  await withContext(1, count + 16, async ([sequence]) => {
    const rates = [];
    for (let round = 0; round <= rounds; ++round) {
      await sequence.clearHistory();
      const start = now();
      await sequence.evaluateWithoutGeneratingNewTokens(ids(count, 0));
      if (round > 0) rates.push((count * 1000) / (now() - start));
    }
    add('prefill', count, rates);
  });
}
for (const batch of list(decodeText)) {
  await withContext(batch, CONTEXT + STEPS + 16, async (sequences) => {
    const rates = [];
    for (let round = 0; round <= rounds; ++round) {
      for (const [s, sequence] of sequences.entries()) {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(ids(CONTEXT, s));
      }
      const start = now();
      await Promise.all(sequences.map(async (sequence, s) => {
        let left = STEPS;
        for await (const _ of sequence.evaluate(ids(1, 100 + s), { temperature: 0, yieldEogToken: true })) if (--left === 0) break;
      }));
      if (round > 0) rates.push((batch * STEPS * 1000) / (now() - start));
    }
    add('decode', batch, rates);
  });
}
await model.dispose();
console.log(JSON.stringify({ peer: `llama.cpp ${llama.llamaCppRelease?.release ?? ''}`.trim(), threads, figures }));
await llama.dispose();
