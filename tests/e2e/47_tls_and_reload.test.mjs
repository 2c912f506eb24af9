// A gateway that speaks TLS with certificates of `tidegate certs mint`, and options that change while it serves.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { Gateway } from './gateways.mjs';
import { stack, until } from './stack.mjs';

const folder = path.join(stack.folder, 'tls');
const file = (name) => path.join(folder, name);
const ca = () => fs.readFileSync(file('ca.crt'));

/** One request by TLS, on a connection of its own: {status, headers, body, serial} of the answer. */
function ask(gateway, target, { method = 'GET', body, onData } = {}) {
  const url = new URL(gateway.baseUrl);
  return new Promise((resolve, reject) => {
    const request = https.request({
      host: '127.0.0.1', port: url.port, path: target, method, ca: ca(), agent: false,
      headers: { authorization: `Bearer ${stack.apiKey}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    }, (response) => {
      const serial = response.socket.getPeerCertificate().serialNumber;
      let text = '';
      response.on('data', (bytes) => { text += bytes; onData?.(text); });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text, serial }));
    });
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });
}

const admin = (gateway, target, options) => fetch(`http://127.0.0.1:${gateway.adminPort}${target}`, options);
const reload = async (gateway) => {
  const answer = await admin(gateway, '/reload', { method: 'POST', headers: { 'x-tidegate-reload': '1' } });
  return { status: answer.status, text: await answer.text() };
};
const metric = async (gateway, name) => {
  const text = await (await admin(gateway, '/metrics')).text();
  return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ').pop() ?? NaN);
};

test('certs mint, TLS, renewal under a running stream, and reloads that are all or nothing', async (t) => {
  await stack.cliText('certs', 'mint', '--dir', folder, '--hosts', 'api.example.test');
  for (const name of fs.readdirSync(folder)) {
    assert.equal(fs.statSync(file(name)).mode & 0o777, 0o600, name);
  }
  assert.equal(fs.statSync(folder).mode & 0o777, 0o700);

  const gateway = await Gateway.start('gateway-tls', {
    'http.tls_cert_file': file('public.crt'), 'http.tls_key_file': file('public.key'),
    'grpc.tls_cert_file': file('public.crt'), 'grpc.tls_key_file': file('public.key'),
    'log.level': 'info',
  });
  t.after(() => gateway.stop());
  const url = new URL(gateway.baseUrl);

  await t.test('the port speaks TLS to who trusts its authority, and nothing else', async () => {
    const models = await until('an answer', 20, () => ask(gateway, '/v1/models'));
    assert.equal(models.status, 200);
    await assert.rejects(new Promise((resolve, reject) => {
      https.get({ host: '127.0.0.1', port: url.port, path: '/v1/models', agent: false }, resolve).on('error', reject);
    }), /self.signed|unable to/i, 'an authority nobody told it of');
    await assert.rejects(new Promise((resolve, reject) => {
      http.get({ host: '127.0.0.1', port: url.port, path: '/v1/models', agent: false }, resolve).on('error', reject);
    }), 'plain HTTP');
    const socket = tls.connect({ host: '127.0.0.1', port: Number(url.port), ca: ca(), ALPNProtocols: ['h2', 'http/1.1'] });
    await new Promise((resolve, reject) => { socket.on('secureConnect', resolve); socket.on('error', reject); });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    socket.destroy();
    assert.ok(await metric(gateway, 'tidegate_gateway_certificate_expiry_timestamp_seconds') > Date.now() / 1000 + 80 * 86400);
  });

  await t.test('the command line asks by gRPC with TLS', async () => {
    const endpoint = { ...stack.endpoint, grpc: `127.0.0.1:${Number(url.port) + 1}`, 'grpc.tls_ca_file': file('ca.crt') };
    fs.writeFileSync(file('endpoint.json'), JSON.stringify(endpoint), { mode: 0o600 });
    const answer = await until('an answer', 20, () => stack.cliText('chat', 'hello', '--model', 'tang-moe', '--endpoint', file('endpoint.json')));
    assert.match(answer, /^request\s+\S+/m);
  });

  await t.test('a renewed certificate serves new connections while an open stream goes on', async () => {
    const before = (await ask(gateway, '/v1/models')).serial;
    let began;
    const first = new Promise((resolve) => { began = resolve; });
    const stream = ask(gateway, '/v1/chat/completions', {
      method: 'POST', onData: began,
      body: { model: 'tang-moe', stream: true, max_tokens: 256, messages: [{ role: 'user', content: '写一首关于月的五言绝句。' }] },
    });
    await first;
    const keyBefore = fs.readFileSync(file('public.key'), 'utf8');
    await stack.cliText('certs', 'mint', '--dir', folder);
    assert.equal(fs.readFileSync(file('public.key'), 'utf8'), keyBefore, 'a renewal keeps its key');
    process.kill(gateway.pid(), 'SIGHUP');
    const after = await until('the new certificate', 10, async () => {
      const { serial } = await ask(gateway, '/v1/models');
      return serial !== before && serial;
    });
    assert.notEqual(after, before);
    const answer = await stream;
    assert.equal(answer.status, 200);
    assert.equal(answer.serial, before);
    assert.match(answer.body, /data: \[DONE\]\s*$/);
  });

  await t.test('an option that may not change refuses all of them, by name', async () => {
    const original = fs.readFileSync(gateway.conf, 'utf8');
    const refused = await metric(gateway, 'tidegate_gateway_config_reloads_total{result="refused"}');
    fs.writeFileSync(gateway.conf, original.replace(/^region = .*$/m, 'region = elsewhere').replace('log.level = info', 'log.level = debug'));
    const no = await reload(gateway);
    assert.equal(no.status, 409);
    assert.match(no.text, /region: cannot change/);
    assert.match(await (await admin(gateway, '/configz')).text(), /^log\.level = info$/m);
    assert.equal(await metric(gateway, 'tidegate_gateway_config_reloads_total{result="refused"}'), refused + 1);

    fs.writeFileSync(gateway.conf, `${original.replace('log.level = info', 'log.level = debug')}limits.body_bytes = 2048\n`);
    const yes = await reload(gateway);
    assert.equal(yes.status, 200, yes.text);
    assert.deepEqual(JSON.parse(yes.text).changed.sort(), ['limits.body_bytes', 'log.level']);
    assert.match(await (await admin(gateway, '/configz')).text(), /^log\.level = debug$/m);
    const big = { model: 'tang-moe', messages: [{ role: 'user', content: 'x'.repeat(3000) }] };
    await until('the new limit on every thread', 10, async () => {
      const answers = await Promise.all([0, 1, 2, 3].map(() => ask(gateway, '/v1/chat/completions', { method: 'POST', body: big })));
      return answers.every((answer) => answer.status === 413);
    });
    fs.writeFileSync(gateway.conf, original);
    assert.equal((await reload(gateway)).status, 200);
  });

  await t.test('a certificate that does not fit changes nothing', async () => {
    const key = fs.readFileSync(file('public.key'));
    fs.writeFileSync(file('public.key'), fs.readFileSync(file('worker.key')));
    const no = await reload(gateway);
    assert.equal(no.status, 409);
    assert.match(no.text, /(http|grpc)\.tls_key_file.*is not the key of/);
    assert.equal((await ask(gateway, '/v1/models')).status, 200);
    fs.writeFileSync(file('public.key'), key);
    assert.equal((await reload(gateway)).status, 200);
  });
});
