// Every object that Tidegate sends to Kubernetes, against Kubernetes' own OpenAPI schema (kube_schema.mjs): what the driver's
// code makes of pools of every kind, through `tidegate fleet manifests`, and the files of deploy/kubernetes. The C++ tests hold
// the same objects against a subset written down by hand (tests/golden/kubernetes/schema.json); here that subset is checked too.
// With TIDEGATE_KUBECONFIG, a cluster of 1.27 or later where dry runs may be made, its API server is asked as well; kubectl must
// be on the PATH, and LeaderWorkerSet in the cluster.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { complaints } from './kube_schema.mjs';
import { root, stack } from './stack.mjs';

const kDeploy = path.join(root, 'deploy/kubernetes');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-kube-'));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const files = fs.readdirSync(kDeploy).filter((file) => file.endsWith('.json')).sort();
const itemsOf = (file) => JSON.parse(fs.readFileSync(path.join(kDeploy, file), 'utf8')).items;
const deployed = files.flatMap((file) => itemsOf(file).map((object) => ({ file, object })));
const find = (kind, name) => deployed.find(({ object }) => object.kind === kind && object.metadata.name === name)?.object;
const called = (object) => `${object.kind} ${object.metadata.name}`;

async function expectValid(objects) {
  for (const object of objects) assert.deepEqual(await complaints(object), [], `${called(object)}: ${JSON.stringify(object)}`);
}

/** Pools that use every member of the pools' file. */
const kPools = [
  { pool: 'cpu', accelerator: 'cpu', cpu_millis: 2500, memory_mib: 4096 },
  { pool: 'h100', region: 'eu-west', accelerator: 'h100-80', per_node: 8, cpu_millis: 96000, memory_mib: 1048576, shm_mib: 131072, scratch_mib: 4096,
    node_selector: { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3' }, tolerations: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }, { key: 'b', value: 'c' }],
    extra_resources: { 'rdma/hca': 1 }, environment: { NCCL_DEBUG: 'WARN' }, priority_class: 'dedicated', runtime_class: 'nvidia', image: 'other/image:2', zone_spread: 'hard' },
  { pool: 'rack', accelerator: 'h20-96', per_node: 8, nodes: 4, cpu_millis: 64000, memory_mib: 800000, peer_command: ['serve', '--rank'],
    exclusive_topology: 'example.com/rail', zone_spread: 'none' },
];
const kOptions = [
  '', // as little as there can be
  'kubernetes.billing_address = b:8091\nkubernetes.tls_secret = tls\nkubernetes.pull_secret = pull\nkubernetes.worker_service_account = w\nkubernetes.models_volume = pvc:models\n',
  'kubernetes.models_volume = hostpath:/srv/models\n  kubernetes.network_policy = false\nkubernetes.load_limit_ms = 3600000\n',
];

async function rendered(options, pools, ...words) {
  const config = path.join(folder, 'scheduler.conf');
  const poolsFile = path.join(folder, 'pools.json');
  fs.writeFileSync(config, `grpc.listen = 0.0.0.0:1\nkubernetes.image = registry.example/tidegate:1\nkubernetes.scheduler_address = s:8092\nkubernetes.token_secret = t\n${options}`);
  fs.writeFileSync(poolsFile, JSON.stringify({ pools }));
  return JSON.parse(await stack.cliText('fleet', 'manifests', '--config', config, '--pools', poolsFile, ...words)).items;
}

test('what the driver sends is valid, for every kind of pool and every option', async () => {
  const kinds = new Set();
  for (const options of kOptions) {
    const objects = await rendered(options, kPools);
    await expectValid(objects);
    for (const object of objects) kinds.add(object.kind);
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
    assert.equal(policies.length, options.includes('network_policy = false') ? 0 : kPools.length);
  }
  assert.deepEqual([...kinds].sort(), ['Deployment', 'LeaderWorkerSet', 'Lease', 'NetworkPolicy', 'PodDisruptionBudget', 'Service']);
});

test('names that are too long or of the wrong form stay valid', async () => {
  await expectValid(await rendered('', kPools, '--deployment', `${'Ä_'.repeat(40)}-`));
});

test('every kind of mistake is found in what the driver sends', async () => {
  const objects = await rendered(kOptions[1], kPools);
  const pod = (object) => (object.spec.template ?? object.spec.leaderWorkerTemplate?.leaderTemplate)?.spec;
  const workloads = objects.filter(pod);
  assert.equal(workloads.length, kPools.length);
  const mistakes = {
    'an unknown field of a pod': (object) => { pod(object).terminationGraceSeconds = 5; },
    'an unknown field deep inside': (object) => { pod(object).containers[0].readinessProbe.httpGet.prot = 1; },
    'a missing field': (object) => { delete pod(object).containers[0].name; },
    'no containers': (object) => { delete pod(object).containers; },
    'a wrong type': (object) => { pod(object).terminationGracePeriodSeconds = '80'; },
    'a number that is no integer': (object) => { pod(object).containers[0].readinessProbe.periodSeconds = 1.5; },
    'no choice': (object) => { pod(object).tolerations[0].operator = 'Equals'; },
    'a list that is none': (object) => { pod(object).volumes = {}; },
    'a label that is no text': (object) => { object.metadata.labels['tidegate.io/run'] = 1; },
    'replicas as text': (object) => { object.spec.replicas = '1'; },
  };
  for (const [what, make] of Object.entries(mistakes)) {
    for (const object of workloads) {
      const broken = structuredClone(object);
      make(broken);
      assert.notDeepEqual(await complaints(broken), [], `${what} in ${called(object)}`);
    }
  }
  for (const object of objects) {
    assert.notDeepEqual(await complaints({ ...object, apiVersion: 'apps/v9' }), [], `${called(object)} of another version`);
    assert.notDeepEqual(await complaints({ ...object, metadata: { ...object.metadata, nmae: 'x' } }), [], `${called(object)}: metadata`);
    assert.notDeepEqual(await complaints({ ...object, spec: { ...object.spec, nonsense: 1 } }), [], `${called(object)}: spec`);
  }
});

test('the files of deploy/kubernetes are valid, and what they mention is there', async () => {
  await expectValid(deployed.map(({ object }) => object));
  assert.ok(deployed.length > 15, `${deployed.length} objects`);
  for (const { file, object } of deployed) {
    if (object.kind !== 'Namespace') assert.equal(object.metadata.namespace, 'tidegate', `${file}: ${called(object)}`);
    const pod = object.spec?.template?.spec;
    if (!pod) continue;
    const labels = object.spec.template.metadata.labels;
    for (const [key, value] of Object.entries(object.spec.selector.matchLabels)) assert.equal(labels[key], value, called(object));
    assert.ok(find('ServiceAccount', pod.serviceAccountName), `${called(object)}: service account ${pod.serviceAccountName}`);
    for (const container of pod.containers) {
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        assert.ok(container.ports.some(({ name }) => name === container[probe].httpGet.port), `${called(object)}: ${probe}`);
      }
      const volumes = [...pod.volumes, ...(object.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata)].map(({ name }) => name);
      for (const { name } of container.volumeMounts) assert.ok(volumes.includes(name), `${called(object)}: volume ${name}`);
      assert.equal(container.securityContext.readOnlyRootFilesystem, true, called(object));
      assert.ok(container.resources.requests.memory && container.resources.limits.memory, called(object));
    }
    for (const volume of pod.volumes) if (volume.configMap) assert.ok(find('ConfigMap', volume.configMap.name), `${called(object)}: ${volume.configMap.name}`);
    const selects = ({ spec }) => Object.entries(spec.selector?.matchLabels ?? spec.podSelector?.matchLabels ?? spec.selector ?? {}).every(([key, value]) => labels[key] === value);
    const of = (kind) => deployed.map((each) => each.object).filter((each) => each.kind === kind && selects(each));
    assert.ok(of('Service').length > 0, `${called(object)} has a Service`);
    assert.equal(of('NetworkPolicy').length, 1, `${called(object)} has one NetworkPolicy`);
    const ports = object.spec.template.spec.containers.flatMap((container) => container.ports.map(({ containerPort }) => containerPort));
    const open = of('NetworkPolicy')[0].spec.ingress.flatMap((rule) => rule.ports.map(({ port }) => port));
    assert.deepEqual(open.sort(), ports.sort(), `${called(object)}: who may reach each port is said`);
    for (const service of of('Service')) {
      for (const { targetPort } of service.spec.ports) assert.ok(pod.containers[0].ports.some(({ name }) => name === targetPort), `${called(service)}: ${targetPort}`);
    }
  }
  // The scheduler's own configuration is one that the driver takes, and what comes out of it is valid too.
  const map = find('ConfigMap', 'tidegate-scheduler');
  const config = path.join(folder, 'shipped.conf');
  fs.writeFileSync(config, map.data['scheduler.conf']);
  fs.writeFileSync(path.join(folder, 'shipped.json'), map.data['pools.json']);
  const objects = JSON.parse(await stack.cliText('fleet', 'manifests', '--config', config, '--pools', path.join(folder, 'shipped.json'))).items;
  await expectValid(objects);
  const [worker] = objects.filter(({ kind }) => kind === 'Deployment');
  assert.ok(find('ServiceAccount', worker.spec.template.spec.serviceAccountName), 'the workers\' service account');
});

test('mistakes in files are found', async () => {
  for (const { file, object } of deployed) {
    const broken = structuredClone(object);
    broken.metadata.lables = {};
    assert.notDeepEqual(await complaints(broken), [], `${file}: ${called(object)}`);
  }
});

test('a field of the hand-written subset is one that Kubernetes has', async () => {
  const { definitions } = JSON.parse(fs.readFileSync(path.join(root, 'tests/golden/kubernetes/schema.json'), 'utf8'));
  // An object that has every field of the subset, with empty values: complaints about types are expected, unknown fields are not.
  const filled = (schema, depth = 0) => {
    const actual = schema.$ref ? definitions[schema.$ref] : schema;
    if (depth > 12) return undefined;
    if (actual.type === 'array') return [filled(actual.items ?? {}, depth + 1)];
    if (actual.type !== 'object') return actual.type === 'integer' ? 1 : 'x';
    return Object.fromEntries(Object.entries(actual.properties ?? {}).map(([key, each]) => [key, filled(each, depth + 1)]).filter(([, value]) => value !== undefined));
  };
  let kinds = 0;
  for (const name of Object.keys(definitions).filter((each) => each.includes('/') || each.startsWith('v1.'))) {
    const at = name.lastIndexOf('.');
    const object = { ...filled(definitions[name]), apiVersion: name.slice(0, at), kind: name.slice(at + 1) };
    // Of metadata only what is sent: the rest comes back from the server in forms of its own.
    const unknown = (await complaints(object)).filter((each) => /unknown field|no such kind/.test(each) && !/managedFields|\.status/.test(each));
    assert.deepEqual(unknown, [], name);
    kinds += 1;
  }
  assert.ok(kinds > 10, `${kinds} kinds`);
});

test('a real API server takes everything', { skip: !process.env.TIDEGATE_KUBECONFIG && 'TIDEGATE_KUBECONFIG names no cluster' }, async () => {
  const dryRun = (objects) => execFileSync('kubectl', ['--kubeconfig', process.env.TIDEGATE_KUBECONFIG, 'apply', '--dry-run=server', '--validate=strict', '-f', '-'],
    { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }), stdio: ['pipe', 'pipe', 'pipe'] });
  // Dry runs make nothing, so that the namespace of all others must be there.
  const here = (objects) => objects.filter(({ kind }) => kind !== 'Namespace').map((each) => ({ ...each, metadata: { ...each.metadata, namespace: 'default' } }))
    .map((each) => (each.subjects ? { ...each, subjects: each.subjects.map((subject) => ({ ...subject, namespace: 'default' })) } : each));
  for (const options of kOptions) dryRun(here(await rendered(options, kPools)));
  dryRun(here(deployed.map(({ object }) => object)));
  const [wrong] = here([structuredClone(find('Deployment', 'tidegate-billing'))]);
  wrong.spec.template.spec.nonsense = 1;
  assert.throws(() => dryRun([wrong]));
});
