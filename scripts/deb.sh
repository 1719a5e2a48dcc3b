#!/usr/bin/env bash
# deb.sh: makes the Debian package from what 'make publish sbom' made: artifacts/deb/tcmu-gateway_VERSION_amd64.deb.
# Environment: VERSION (default: that of Directory.Build.props)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/version.sh
source scripts/version.sh
require_built

build=artifacts/deb/build
rm -rf "$build"
mkdir -p "$build"
cp -r deploy/debian "$build/debian"
# Where debhelper looks for them.
cp deploy/systemd/tcmu-gateway.service "$build/debian/tcmu-gateway.service"
cp deploy/systemd/tcmu-gateway.sysusers "$build/debian/tcmu-gateway.sysusers"
cp deploy/systemd/tcmu-gateway.tmpfiles "$build/debian/tcmu-gateway.tmpfiles"
cat > "$build/debian/changelog" <<CHANGELOG
tcmu-gateway ($version) stable; urgency=medium

  * Built from $revision.

 -- tcmu-gateway maintainers <root@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
cp docs/licences.md "$build/debian/copyright"

root=$build/root
install -D -m 755 "$gateway" "$root/usr/bin/tcmu-gateway"
install -D -m 644 deploy/systemd/gateway.json "$root/etc/tcmu-gateway/gateway.json"
install -D -m 644 deploy/systemd/tcmu-gateway.modules-load "$root/usr/lib/modules-load.d/tcmu-gateway.conf"
documents=$root/usr/share/doc/tcmu-gateway
install -d "$documents"
cp README.md "$documents/"
cp -r artifacts/sbom/tcmu-gateway.cdx.json artifacts/sbom/notices "$documents/"
# Completion and pages of the manual, of the executable that is packaged.
if "$gateway" completion bash > "$build/completion.bash" 2> /dev/null; then
  install -D -m 644 "$build/completion.bash" "$root/usr/share/bash-completion/completions/tcmu-gateway"
  install -d "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
  "$gateway" completion zsh > "$root/usr/share/zsh/vendor-completions/_tcmu-gateway"
  "$gateway" completion fish > "$root/usr/share/fish/vendor_completions.d/tcmu-gateway.fish"
fi
for page in docs/man/*.[1-8]; do
  [[ -e $page ]] || continue
  cp "$page" "$build/"
  echo "${page##*/}" >> "$build/debian/tcmu-gateway.manpages"
done

(cd "$build" && DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage --build=binary --no-sign --unsigned-changes > ../build.log 2>&1) || { tail -n 30 artifacts/deb/build.log >&2; exit 1; }
stat -c '%n %s' "artifacts/deb/tcmu-gateway_${version}_amd64.deb" | awk '{ printf "%s: %.1f MB\n", $1, $2 / 1e6 }'
