// pod.mjs NUMBER: reads the chart's rendered objects from standard input and writes what 'podman kube play' (4.3) takes of them: the ConfigMap, and a pod as
// the DaemonSet's controller makes it, with NUMBER for the random end of its name. What is left out is said on standard error.
import { readFileSync } from 'node:fs';

const tools = new URL('../../../artifacts/tools/helm/node_modules/', import.meta.url);
const { parseAllDocuments, stringify } = await import(new URL('yaml/dist/index.js', tools));
const number = process.argv[2];

const objects = parseAllDocuments(readFileSync(0, 'utf8')).map(d => d.toJS()).filter(o => o !== null && !o.metadata.annotations?.['helm.sh/hook']);
const daemonSet = objects.find(o => o.kind === 'DaemonSet');
const { metadata, spec } = daemonSet.spec.template;
// Podman removes an init container of its other kind right after its end, and may not have noticed that by then.
const annotations = { ...metadata.annotations, 'io.podman.annotations.init.container.type': 'always' };
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: `${daemonSet.metadata.name}-${number}`, annotations }, spec };

// Podman has no kubelet that would ask: it runs a probe inside the container, with a curl that the image does not have. And it refuses ports on the node's
// own network, where they map nothing.
for (const container of spec.containers) {
  for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe', 'ports']) {
    if (container[field]) console.error(`left out: ${field} of ${container.name}`);
    delete container[field];
  }
}
// An emptyDir is a pod's own; Podman makes a volume of its name.
for (const volume of spec.volumes.filter(v => v.emptyDir)) {
  for (const mount of [...spec.containers, ...spec.initContainers ?? []].flatMap(c => c.volumeMounts)) if (mount.name === volume.name) mount.name += `-${number}`;
  volume.name += `-${number}`;
}
process.stdout.write([...objects.filter(o => o.kind === 'ConfigMap'), pod].map(o => stringify(o)).join('---\n'));
