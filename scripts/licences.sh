#!/usr/bin/env bash
# licences.sh: prints docs/licences.md, made of the bill of materials (make sbom). Ends with 1 if a package has a licence that is not allowed.
set -euo pipefail
cd "$(dirname "$0")/.."
bom=artifacts/sbom/tcmu-gateway.cdx.json
[[ -s $bom ]] || { echo "The bill of materials is not made: make sbom" >&2; exit 69; }
# Licences that ask for no more than their text and notices beside a program that is linked with what they cover.
allowed='["MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause"]'
jq -r --argjson allowed "$allowed" '
  def licence: [.licenses[]?.license | .id // .name] | join(", ");
  def row: "| `\(.name)` | \(if .name | test("^(Microsoft\\.(AspNetCore|NETCore)\\.App|runtime\\.)") then "of the SDK" else .version end) | \(licence) | \((.copyright // "") | gsub("\\|"; " ")) |";
  (.components | map(select(.scope == "required") | select([licence] | inside($allowed) | not) | "\(.name) \(.version): \(licence)")) as $faults
  | if $faults != [] then "licences.sh: not allowed: \($faults | join("; "))\n" | halt_error(1) else
  "# Licences",
  "",
  "What the executable contains besides the project'"'"'s own code. Made by `make licences` from the bill of materials (`make sbom`) that packages and images carry as",
  "`/usr/share/doc/tcmu-gateway/tcmu-gateway.cdx.json`, with the texts that the packages bring in `notices/`. Allowed are \($allowed | join(", ")): a package under another licence fails the tests.",
  "",
  "| package | version | licence | copyright |",
  "|---|---|---|---|",
  (.components[] | select(.scope == "required") | row),
  "",
  "`Microsoft.NETCore.App.Runtime.NativeAOT` holds zlib-ng, Brotli and others, which its `THIRD-PARTY-NOTICES.TXT` names. `libssl3` of the system (Apache-2.0) is opened at run time.",
  "",
  "Only built with: \([.components[] | select(.scope == "excluded") | "`\(.name)`"] | join(", "))."
  end' "$bom"
