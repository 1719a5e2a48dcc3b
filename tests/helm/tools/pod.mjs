// pod.mjs: reads the chart's rendered objects from standard input and writes what 'podman kube play' takes of them: the ConfigMap, the Secrets' names aside, and
// the pod as the DaemonSet's controller would make it. A kubelet does more for it: this prints to standard error what is left out.
import { readFileSync } from 'node:fs';

const tools = new URL('../../../artifacts/tools/helm/node_modules/', import.meta.url);
const { parseAllDocuments, stringify } = await import(new URL('yaml/dist/index.js', tools));

const objects = parseAllDocuments(readFileSync(0, 'utf8')).map(d => d.toJS()).filter(o => o !== null && !o.metadata.annotations?.['helm.sh/hook']);
const daemonSet = objects.find(o => o.kind === 'DaemonSet');
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: `${daemonSet.metadata.name}-node`, ...daemonSet.spec.template.metadata }, spec: daemonSet.spec.template.spec };

// Podman has no kubelet that would ask: it runs a probe inside the container, with a curl that the image does not have. And it knows no ports of a pod on the
// node's network, where they map nothing.
for (const container of pod.spec.containers) {
  for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe', 'ports']) {
    if (container[field]) console.error(`left out: ${field} of ${container.name}`);
    delete container[field];
  }
}
process.stdout.write([...objects.filter(o => o.kind === 'ConfigMap'), pod].map(o => stringify(o)).join('---\n'));
