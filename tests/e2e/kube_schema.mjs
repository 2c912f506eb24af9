// Kubernetes objects against its own OpenAPI schema, as the package kubernetes-models carries it: its validators say what types,
// required fields, choices and formats are wrong; its type declarations, which are made from the same schema, say which fields
// there are, because OpenAPI lets unknown ones pass and the API server's strict validation does not.
// LeaderWorkerSet is no part of Kubernetes and no package carries it: its fields are written down here from its public API
// reference (leaderworkerset.x-k8s.io/v1), its pod templates are Kubernetes' own.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folderOf = (name) => path.dirname(fileURLToPath(import.meta.resolve(name)));
const kCore = folderOf('kubernetes-models');
const kMachinery = '@kubernetes-models/apimachinery';

/** The type behind `text`, a TypeScript declaration: {fields, others} | {items} | {ref} | {} for what has no fields. */
function readType(text) {
  const tokens = text.match(/"[^"]*"|[A-Za-z_$][\w$.]*|[{}[\]<>:;?|(),=]/g);
  let at = 0;
  const take = (token) => {
    if (tokens[at] !== token) throw new Error(`'${token}' expected, not '${tokens[at]}' in ${text.slice(0, 200)}`);
    at += 1;
  };
  const one = () => {
    if (tokens[at] === '{') return members();
    const token = tokens[at++];
    if (token === 'Array') { take('<'); const items = type(); take('>'); return { items }; }
    if (token.startsWith('"') || ['string', 'number', 'boolean', 'null', 'undefined', 'unknown', 'any'].includes(token)) return {};
    if (tokens[at] === '<') throw new Error(`an unknown form: ${token}<`);
    return { ref: token };
  };
  const type = () => {
    const choices = [one()];
    while (tokens[at] === '|') { at += 1; choices.push(one()); }
    return choices.find((choice) => Object.keys(choice).length > 0) ?? {};
  };
  const members = () => {
    const out = { fields: {}, others: null };
    take('{');
    while (tokens[at] !== '}') {
      if (tokens[at] === '[') {
        take('['); at += 1; take(':'); at += 1; take(']'); take(':');
        out.others = type();
      } else {
        const name = JSON.parse(tokens[at++]);
        if (tokens[at] === '?') at += 1;
        take(':');
        out.fields[name] = type();
      }
      take(';');
    }
    take('}');
    return out;
  };
  return type();
}

const declarations = new Map();
/** What a .d.ts of the package declares: {type, files: name -> file, schema: name of its validator, home: its package}. */
function declarationOf(file) {
  if (declarations.has(file)) return declarations.get(file);
  const text = fs.readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const files = {};
  for (const [, names, from] of text.matchAll(/^import \{([^}]*)\} from "([^"]*)";/gm)) {
    const target = from.startsWith('.') ? path.join(path.dirname(file), from.replace(/\.js$/, '.d.ts'))
      : from.startsWith(`${kMachinery}/`) ? `${path.join(folderOf(kMachinery), from.slice(kMachinery.length + 1))}.d.ts` : null;
    if (target) for (const name of names.split(',')) files[name.trim()] = target;
  }
  const body = text.match(/^export interface I\w+(?: extends TypeMeta)? (\{[\s\S]*?^\})/m)?.[1] ?? text.match(/^(?:export )?(?:declare )?type I?\w+ = ([\s\S]*?);$/m)?.[1];
  const schema = text.match(/, (\w+) as (Io\w+) \};/)?.[2];
  const made = { type: body ? readType(body) : {}, files, schema };
  declarations.set(file, made);
  return made;
}

function unknownFields(value, type, files, at) {
  if (type.ref) {
    if (!files[type.ref]) throw new Error(`no declaration of ${type.ref}`);
    const { type: next, files: nextFiles } = declarationOf(files[type.ref]);
    return unknownFields(value, next, nextFiles, at);
  }
  if (value === null || typeof value !== 'object') return [];
  if (type.items) return Array.isArray(value) ? value.flatMap((each, i) => unknownFields(each, type.items, files, `${at}[${i}]`)) : [];
  if (!type.fields || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, each]) => {
    const next = type.fields[key] ?? type.others;
    return next ? unknownFields(each, next, files, `${at}.${key}`) : [`${at}.${key}: unknown field`];
  });
}

/** Complaints about `value` as the type that `file` declares (without .d.ts, from the package's root). */
async function complaintsAs(value, file, at) {
  const declaration = declarationOf(path.join(kCore, `${file}.d.ts`));
  const { validate } = await import(`kubernetes-models/_schemas/${declaration.schema}`);
  const wrong = validate(value) ? [] : validate.errors.map(({ instancePath, message, keyword, params }) =>
    `${at}${instancePath.replaceAll('/', '.')}: ${message ?? keyword} ${JSON.stringify(params)}`);
  return [...wrong, ...unknownFields(value, declaration.type, declaration.files, at)];
}

const kGroup = {
  apiVersion: 'text', kind: 'text', metadata: 'v1-metadata',
  spec: {
    replicas: 'count', startupPolicy: ['LeaderCreated', 'LeaderReady'], networkConfig: { subdomainPolicy: ['Shared', 'UniquePerReplica'] },
    rolloutStrategy: { type: ['RollingUpdate'], rollingUpdateConfiguration: { partition: 'count', maxUnavailable: 'countOrShare', maxSurge: 'countOrShare' } },
    leaderWorkerTemplate: {
      size: 'count', restartPolicy: ['Default', 'RecreateGroupOnPodRestart', 'RecreateGroupAfterStart', 'None'],
      leaderTemplate: 'template', workerTemplate: 'template', subGroupPolicy: { subGroupPolicyType: ['LeaderWorker', 'LeaderExcluded'], subGroupSize: 'count' },
    },
  },
};
const kForms = {
  text: (value) => typeof value === 'string',
  count: (value) => Number.isInteger(value) && value >= 0,
  countOrShare: (value) => kForms.count(value) || /^\d+%$/.test(value),
};

async function groupComplaints(value, form, at) {
  if (form === 'template') return complaintsAs(value, 'v1/PodTemplateSpec', at);
  if (form === 'v1-metadata') return (await complaintsAs({ apiVersion: 'v1', kind: 'ConfigMap', metadata: value }, 'v1/ConfigMap', '')).map((each) => `${at}: ${each}`);
  if (Array.isArray(form)) return form.includes(value) ? [] : [`${at}: ${JSON.stringify(value)} is not one of ${form}`];
  if (typeof form === 'string') return kForms[form](value) ? [] : [`${at}: ${JSON.stringify(value)} is no ${form}`];
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [`${at}: must be an object`];
  const all = await Promise.all(Object.entries(value).map(([key, each]) =>
    (form[key] ? groupComplaints(each, form[key], `${at}.${key}`) : [`${at}.${key}: unknown field`])));
  return all.flat();
}

async function leaderWorkerSetComplaints(object) {
  const out = await groupComplaints(object, kGroup, '');
  const template = object.spec?.leaderWorkerTemplate;
  if (!template?.workerTemplate) out.push('.spec.leaderWorkerTemplate.workerTemplate: is required');
  if (template?.size < 1) out.push('.spec.leaderWorkerTemplate.size: must be 1 at least');
  const pace = object.spec?.rolloutStrategy?.rollingUpdateConfiguration;
  if (pace && !pace.maxUnavailable && !pace.maxSurge) out.push('.spec.rolloutStrategy.rollingUpdateConfiguration: maxUnavailable and maxSurge are both 0');
  return out;
}

/** What the schema says in words only: forms of names and labels. */
function formComplaints(value, at) {
  if (value === null || typeof value !== 'object') return [];
  const out = [];
  for (const [key, each] of Object.entries(value)) {
    const isLabels = key === 'labels' || key === 'matchLabels';
    if (!isLabels) { out.push(...formComplaints(each, `${at}.${key}`)); continue; }
    for (const [label, text] of Object.entries(each)) {
      if (!/^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(label)) out.push(`${at}.${key}: '${label}' is no label`);
      if (!/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(text)) out.push(`${at}.${key}.${label}: '${text}' is no label's value`);
    }
  }
  return out;
}

/** What is wrong with an object; empty: the API server would take its form. */
export async function complaints(object) {
  const { apiVersion, kind } = object;
  const out = formComplaints(object, '');
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(object.metadata?.name)) out.push(`.metadata.name: '${object.metadata?.name}' is no DNS label`);
  if (apiVersion === 'leaderworkerset.x-k8s.io/v1' && kind === 'LeaderWorkerSet') return [...out, ...await leaderWorkerSetComplaints(object)];
  const file = `${apiVersion}/${kind}`;
  if (!/^[\w.\-/]+$/.test(file) || !fs.existsSync(path.join(kCore, `${file}.d.ts`))) return [...out, `${file}: no such kind`];
  return [...out, ...await complaintsAs(object, file, '')];
}
