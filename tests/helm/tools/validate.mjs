// validate.mjs FILE: checks every object of a YAML stream against the OpenAPI schemas of Kubernetes' API and of the Prometheus operator's resources, as
// strictly as an API server with fieldValidation=Strict: types, required fields, values, formats, and fields that there are not. Prints a line for each fault.
// Exit code: 0 nothing is wrong, 1 something is, 2 it could not be checked.
//
// The schemas come as compiled validators, which tell nothing of fields that they do not know. But they read every field that they do know, by its name, and
// walk through all of a map's keys: so an object is handed over behind a proxy that notes what was read, and what was not is unknown.
import { existsSync, readFileSync } from 'node:fs';

const tools = new URL('../../../artifacts/tools/helm/node_modules/', import.meta.url);
const { parseAllDocuments } = await import(new URL('yaml/dist/index.js', tools));

function schemaOf(apiVersion, kind) {
  const [version, group = ''] = apiVersion.split('/').reverse();
  const title = text => text[0].toUpperCase() + text.slice(1);
  const name = group === 'monitoring.coreos.com'
    ? `@kubernetes-models/prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoring${title(version)}${kind}.js`
    : `kubernetes-models/_schemas/IoK8sApi${title(group.split('.')[0] || 'core')}${title(version)}${kind}.js`;
  const url = new URL(name, tools);
  if (!existsSync(url)) throw new Error(`there is no schema for ${apiVersion} ${kind}`);
  return import(url);
}

// VALUE behind a proxy, and all that is read from it; WATCHED gets an entry for each object: what was read of it, and whether anything was asked for.
function watch(value, path, watched) {
  if (typeof value !== 'object' || value === null) return value;
  const read = new Set();
  const children = new Map();
  const entry = { value, path, read, asked: false };
  watched.push(entry);
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === 'symbol') return target[key];
      entry.asked = true;
      if (!Object.hasOwn(target, key)) return target[key];
      read.add(key);
      if (!children.has(key)) children.set(key, watch(target[key], `${path}/${key}`, watched));
      return children.get(key);
    },
  });
}

function unknownFields(watched) {
  const faults = [];
  for (const { value, path, read, asked } of watched) {
    // Where nothing is asked for, the schema takes anything: an object without properties of its own.
    if (Array.isArray(value) || !asked) continue;
    for (const key of Object.keys(value)) if (!read.has(key)) faults.push(`${path}/${key}: unknown field`);
  }
  return faults;
}

let wrong = false;
try {
  for (const document of parseAllDocuments(readFileSync(process.argv[2], 'utf8'), { uniqueKeys: true })) {
    for (const error of document.errors) throw new Error(error.message);
    const object = document.toJS();
    if (object === null) continue;
    const name = `${object.kind} ${object.metadata?.name}`;
    const { validate } = await schemaOf(object.apiVersion, object.kind);
    const watched = [];
    const faults = validate(watch(object, '', watched)) ? [] : validate.errors.map(e => `${e.instancePath}: ${e.keyword} ${JSON.stringify(e.params)}`);
    for (const fault of [...faults, ...unknownFields(watched)]) {
      console.log(`${name}: ${fault}`);
      wrong = true;
    }
  }
} catch (error) {
  console.error(`validate.mjs: ${error.message}`);
  process.exit(2);
}
process.exit(wrong ? 1 : 0);
