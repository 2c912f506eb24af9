// Deployments over HTTP and JSON: the same life that 66 leads through the command line, by requests alone: a plan, a start with
// its progress, an edit as a canary, its promotion, the way back, the end. And who may not.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after } from 'node:test';
import { kSim } from './fleet.mjs';
import { root, stack, until } from './stack.mjs';

const kName = 'by-rest';
const adminKey = fs.readFileSync(path.join(stack.folder, 'secrets/admin_key'), 'utf8').trim();

async function ask(method, route, body, key = adminKey) {
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(body !== undefined && { 'content-type': 'application/json' }) };
  const answer = await fetch(`${stack.restUrl}${route}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}
async function ok(...words) {
  const answer = await ask(...words);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}
async function refused(status, reason, ...words) {
  const answer = await ask(...words);
  assert.equal(`${answer.status} ${answer.body.error?.reason}`, `${status} ${reason}`, JSON.stringify(answer.body));
  return answer;
}
const show = () => ok('GET', `/deployments/${kName}`);
const seen = (what, probe) => until(what, 60, async () => { const now = await show(); return probe(now) && now; });
const content = { model: kSim, variant: 'sim', replicas: 1, sequences_max: 32 };

after(async () => { await ask('DELETE', `/deployments/${kName}`); });

test('a plan has hardware, price, context, speed and time until it is ready', async () => {
  const plan = await ok('POST', '/deployment_plans', { model: 'tang-moe', context: 512 });
  const cli = await stack.cli('deploy', 'plan', 'tang-moe', '--max-context', '512');
  const [option] = plan.options;
  assert.equal(option.can_deploy, true, JSON.stringify(option));
  assert.ok(option.pool && option.accelerator && option.layout, JSON.stringify(option));
  assert.match(option.price_micros_per_hour, /^\d+$/, 'exact: a string of digits');
  assert.ok(Number(option.context_max) >= 512);
  assert.equal(option.decode_tokens_per_s > 0, option.speed_from !== '', 'known or not, and it says from where');
  assert.ok(Number(option.ready_s) >= 0 && option.ready_from, JSON.stringify(option));
  assert.deepEqual(plan.options.map(({ pool, variant }) => `${pool} ${variant}`), cli.options.map(({ pool, variant }) => `${pool} ${variant}`));
});

test('a deployment is started, watched, edited as a canary, promoted, taken back, drained and deleted', async () => {
  const made = await ok('PUT', `/deployments/${kName}`, content);
  assert.equal(made.name, kName);
  const whole = await seen('the replica to serve', (now) => now.status === 'ready' && now.progress[0]?.phase === 'healthy');
  assert.equal(whole.replicas_ready, 1);
  const again = await ok('PUT', `/deployments/${kName}`, content);
  assert.equal(again.revision, whole.revision, 'the same content twice changes nothing');
  assert.equal(again.rollout, undefined);

  await ok('PUT', `/deployments/${kName}`, { ...content, sequences_max: 48, rollout_steps: [10] });
  const canary = await seen('the canary to have its share', (now) => now.rollout?.share_percent === 10);
  assert.equal(canary.rollout.sequences_max, 48);
  await refused(409, 'rollout_running', 'PUT', `/deployments/${kName}`, { ...content, sequences_max: 40 });
  await ok('POST', `/deployments/${kName}/rollout`, { change: 'CHANGE_PROMOTE', at_once: true });
  const promoted = await seen('the promotion', (now) => !now.rollout && now.sequences_max === 48);
  assert.equal(promoted.can_roll_back, true);
  await ok('POST', `/deployments/${kName}/rollout`, { change: 'CHANGE_ROLL_BACK' });
  await seen('the way back', (now) => !now.rollout && now.sequences_max === 32);

  await ok('POST', `/deployments/${kName}/rollout`, { change: 'CHANGE_DRAIN' });
  await seen('the replicas to be gone', (now) => now.drained && now.progress.length === 0);
  assert.deepEqual(await ok('DELETE', `/deployments/${kName}`), {});
  await until('it to be gone', 60, async () => (await ask('GET', `/deployments/${kName}`)).status === 404);
  await refused(404, 'unknown_deployment', 'GET', `/deployments/${kName}`);
});

test('who may not is refused, and what is wrong is named', async () => {
  await refused(401, 'missing_token', 'GET', '/deployments', undefined, '');
  await refused(401, 'bad_token', 'GET', '/deployments', undefined, stack.apiKey);
  const { secret, key } = await stack.cli('admin-key', 'create', '--role', 'viewer', '--name', 'rest-looks');
  assert.ok((await ok('GET', '/deployments', undefined, secret)).deployments.length > 0);
  await refused(403, 'role_not_allowed', 'PUT', `/deployments/${kName}`, content, secret);
  await refused(403, 'role_not_allowed', 'DELETE', `/deployments/${kName}`, undefined, secret);
  await stack.cli('admin-key', 'revoke', key.public_id);
  const unknown = await refused(400, 'bad_json', 'PUT', `/deployments/${kName}`, { ...content, replica: 1 });
  assert.match(unknown.body.error.message, /replica/);
  const many = await ask('PUT', `/deployments/${kName}`, { ...content, replicas: 65 });
  assert.equal(many.status, 400, JSON.stringify(many.body));
  const wrong = await refused(405, 'method_not_allowed', 'POST', `/deployments/${kName}`, {});
  assert.equal(wrong.headers.get('allow'), 'GET, PUT, DELETE');
});

test('every path of the OpenAPI document is there', async () => {
  const document = JSON.parse(fs.readFileSync(path.join(root, 'docs/api/fleet_openapi.json'), 'utf8'));
  for (const route of Object.keys(document.paths)) {
    const answer = await fetch(`${new URL(stack.restUrl).origin}${route.replace('{name}', kName)}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{}' });
    assert.equal(answer.status, 405, `${route}: PATCH is no method of it, and a path that is not there would be 404`);
    const verbs = Object.keys(document.paths[route]).filter((verb) => verb !== 'parameters').map((verb) => verb.toUpperCase());
    assert.deepEqual(answer.headers.get('allow').split(', ').sort(), verbs.sort());
  }
});
