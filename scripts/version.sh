# shellcheck shell=bash disable=SC2034 # Used by those who source it.
# version.sh: sets what everything that is shipped says of itself. For 'source'.
#   version    of Directory.Build.props, or VERSION
#   revision   the commit, or "unknown" outside a repository
#   gateway    the native executable; require_built ends where it, or its bill of materials, is not made
#   SOURCE_DATE_EPOCH   when that was committed, so that the same source makes the same files
version=${VERSION:-$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)}
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat -c %Y Directory.Build.props)}
export SOURCE_DATE_EPOCH
gateway=artifacts/publish/Gateway/release_linux-x64/tcmu-gateway
require_built() {
  [[ -x $gateway ]] || { echo "The gateway is not built: make publish" >&2; exit 69; }
  [[ -s artifacts/sbom/tcmu-gateway.cdx.json ]] || { echo "The bill of materials is not made: make sbom" >&2; exit 69; }
}
