#!/usr/bin/env bash
# reproducible.sh: publishes this source twice, in two folders with names of different length, and compares what comes out byte by byte. KEEP=1 keeps both.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/reproducible.XXXXXX")
if [[ -n ${KEEP-} ]]; then echo "In $work"; else trap 'rm -rf "$work"' EXIT; fi
for name in a another/and-longer; do
  mkdir -p "$work/$name"
  # What git knows or would take, as it is now.
  git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - 2> /dev/null | tar -x -C "$work/$name"
  (cd "$work/$name" && dotnet publish src/Gateway -c Release -r linux-x64 -v quiet -nologo -clp:NoSummary)
done
status=0
for file in tcmu-gateway tcmu-gateway.dbg; do
  (cd "$work" && sha256sum a/artifacts/publish/Gateway/release_linux-x64/$file another/and-longer/artifacts/publish/Gateway/release_linux-x64/$file)
  cmp "$work"/{a,another/and-longer}/artifacts/publish/Gateway/release_linux-x64/$file || status=1
done
if [[ $status -eq 0 ]]; then echo "Both publishes have the same bytes."; else echo "The publishes differ." >&2; fi
exit $status
