// `tidegate model inspect` and `tidegate model convert` as a person or a script meets them.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { root, stack } from './stack.mjs';

const model = path.join(root, 'models/tang-distill-qwen2');
const refusal = async (...words) => {
  const error = await stack.cli('model', ...words).then(() => assert.fail('it went well'), (reason) => reason);
  return { status: error.code, text: error.stderr };
};

test('a variant is made, says what it lost, and is what its manifest says', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tg-convert-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const target = path.join(folder, 'q8');
  const manifest = await stack.cli('model', 'convert', model, target, '--to', 'q8_0');
  assert.equal(manifest.format, 'gguf');
  assert.ok(manifest.relative_error > 0 && manifest.relative_error < 0.01, `${manifest.relative_error}`);
  assert.deepEqual(JSON.parse(fs.readFileSync(path.join(target, 'manifest.json'), 'utf8')), manifest);
  for (const { name, sha256, bytes } of manifest.files) {
    const content = fs.readFileSync(path.join(target, name));
    assert.equal(content.length, bytes, name);
    assert.equal(crypto.createHash('sha256').update(content).digest('hex'), sha256, name);
  }
  const inspected = await stack.cli('model', 'inspect', target);
  assert.equal(inspected.weights_digest, manifest.weights_digest);
  assert.equal(inspected.manifest_digest, manifest.weights_digest);
  assert.deepEqual(inspected.can, ['chat', 'tools', 'reasoning']);
  const again = await refusal('convert', model, target, '--to', 'q8_0');
  assert.equal(again.status, 1);
  assert.match(again.text, /exists/);
});

test('the demonstration model is described from its own files', async () => {
  const inspected = await stack.cli('model', 'inspect', path.join(root, 'models/tang-moe'), '--context', '512', '--sequences', '2');
  assert.equal(inspected.architecture, 'DeepseekV3ForCausalLM');
  assert.ok(inspected.active_parameters < inspected.parameters / 2);
  assert.equal(inspected.memory.fits, true);
  const planned = await stack.cli('model', 'fit', '--model', 'tang-moe', '--accelerator', 'h20', '--layout', 'TP1');
  assert.equal(inspected.active_parameters, planned.active_parameters, 'counted from tensors and computed from the shape');
  assert.equal(inspected.memory.kv_bytes, inspected.memory.kv_bytes_per_token * 1024);
});

test('workers keep what they packed for the next start, for their own user alone', () => {
  const folder = path.join(stack.folder, 'workers/weights');
  assert.ok(fs.readdirSync(folder).some((name) => name.endsWith('.pack')), 'a packed model');
  assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
});

test('mistakes are named with what would be right', async () => {
  assert.match((await refusal('convert', model, '/tmp/never', '--to', 'q5_0')).text, /q8_0/);
  assert.match((await refusal('convert', model, '/tmp/never', '--to', 'q8_0', '--format', 'safetensors')).text, /gguf/);
  assert.match((await refusal('inspect', '/nonexistent')).text, /config\.json/);
  assert.equal(fs.existsSync('/tmp/never'), false);
});
