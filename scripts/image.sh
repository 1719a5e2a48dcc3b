#!/usr/bin/env bash
# image.sh: builds the container image from what 'make publish sbom' made.
# Environment: BASE    the base image; by default one that is made from this host's Debian packages (scripts/base-image.sh)
#              IMAGE   what to call it (default tcmu-gateway:VERSION)
#              VERSION (default: that of Directory.Build.props)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/version.sh
source scripts/version.sh
require_built
image=${IMAGE:-tcmu-gateway:$version}
base=${BASE:-tcmu-gateway-base:local}
[[ -n ${BASE-} ]] || scripts/base-image.sh "$base"

context=artifacts/image/context
rm -rf "$context"
root=$context/root
install -D -m 755 "$gateway" "$root/usr/bin/tcmu-gateway"
install -D -m 644 deploy/systemd/gateway.json "$root/etc/tcmu-gateway/gateway.json"
install -d -m 700 "$root/var/lib/tcmu-gateway" "$root/var/lib/tcmu-gateway/local"
install -d "$root/usr/share/doc/tcmu-gateway"
cp -r artifacts/sbom/tcmu-gateway.cdx.json artifacts/sbom/notices docs/licences.md "$root/usr/share/doc/tcmu-gateway/"
find "$context" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# The classic builder is in every engine; BuildKit is a plug-in of the client that may be missing.
DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build --file deploy/docker/Dockerfile --tag "$image" \
  --build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)" "$context" > artifacts/image/build.log 2>&1 || { cat artifacts/image/build.log >&2; exit 1; }
echo "$image: $(docker image inspect -f '{{.Size}}' "$image" | awk '{ printf "%.1f MB", $1 / 1e6 }'), on $base"
