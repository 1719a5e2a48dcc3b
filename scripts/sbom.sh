#!/usr/bin/env bash
# sbom.sh: writes what the executable is made of: artifacts/sbom/tcmu-gateway.cdx.json (CycloneDX 1.6), and beside it in notices/ the licence files that the
# packages bring. To be run after a publish. CycloneDX reads the restored packages; which of them are linked, the native compiler's own list of references
# says. Components that only the build needs have the scope "excluded".
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/version.sh
source scripts/version.sh
references=artifacts/obj/Gateway/release_linux-x64/native/tcmu-gateway.ilc.rsp
assets=artifacts/obj/Gateway/project.assets.json
[[ -s $references ]] || { echo "The gateway is not built: make publish" >&2; exit 69; }
folder=artifacts/sbom
bom=$folder/tcmu-gateway.cdx.json
[[ ! -s $bom || $references -nt $bom || $0 -nt $bom || -n ${VERSION-} ]] || exit 0
packages=$(jq -r '.packageFolders | keys[0]' "$assets")
rm -rf "$folder"
mkdir -p "$folder/notices"

{ dotnet tool restore &&
  dotnet dotnet-CycloneDX src/Gateway/Gateway.csproj --output "$folder" --filename all.json --output-format UnsafeJson --no-serial-number --disable-package-restore --runtime linux-x64 \
    --set-name tcmu-gateway --set-version "$version" --spec-version 1.6 --base-intermediate-output-path "$PWD/artifacts/obj"; } > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }

# NAME VERSION of what is linked, in lower case: the packages' assemblies, and the compiler's own library.
{ sed -n "s:^-r\:$packages\([^/]*\)/\([^/]*\)/.*:\1 \2:p" "$references"
  jq -r '.project.frameworks[].downloadDependencies[] | select(.name | test("ILCompiler$")) | "\(.name) \(.version | ltrimstr("[") | split(",")[0])" | ascii_downcase' "$assets"
} | sort -u > "$folder/linked"

# The frameworks are downloaded for the native compiler, and are no packages of the lock file.
while read -r name version; do
  nuspec=$packages$name/$version/$name.nuspec
  printf '%s\t%s\t%s\t%s\t%s\n' "$(sed -n 's:.*<id>\(.*\)</id>.*:\1:p' "$nuspec")" "$version" "$(sed -n 's:.*<license type="expression">\(.*\)</license>.*:\1:p' "$nuspec")" \
    "$(sed -n 's:.*<copyright>\(.*\)</copyright>.*:\1:p' "$nuspec")" "$(sed -n 's:.*<description>\(.*\)</description>.*:\1:p' "$nuspec" | head -n 1)"
  # Licences ask for their texts to go with the program.
  find "$packages$name/$version" -maxdepth 1 -iregex '.*/\(licen[sc]e\|notice\|third-party\)[^/]*' -exec install -D -m 644 -t "$folder/notices/$name" {} +
done < "$folder/linked" > "$folder/linked.tsv"

# K4os.Compression.LZ4 has a link instead of an expression; what is behind it is the MIT licence.
jq --rawfile linked "$folder/linked.tsv" --arg at "$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)" '
  ($linked | split("\n") | map(select(length > 0) | split("\t") | { name: .[0], version: .[1], licence: .[2], copyright: .[3], description: .[4] })) as $linked
  | (.components | map({ key: "\(.name)@\(.version)" | ascii_downcase, value: . }) | from_entries) as $known
  | ($linked | map("\(.name)@\(.version)" | ascii_downcase)) as $names
  | .metadata.timestamp = $at
  | .components = ([
      $linked[] | . as $package | ("\(.name)@\(.version)" | ascii_downcase) as $key
      | ($known[$key] // { type: "library", "bom-ref": "pkg:nuget/\(.name)@\(.version)", name: .name, version: .version, copyright: .copyright, description: .description, licenses: [{ license: { id: .licence } }], purl: "pkg:nuget/\(.name)@\(.version)" })
      | .scope = "required" | if .name == "K4os.Compression.LZ4" then .licenses = [{ license: { id: "MIT", url: .licenses[0].license.url } }] else . end
    ] + [.components[] | select(("\(.name)@\(.version)" | ascii_downcase) as $key | $names | index($key) | not) | .scope = "excluded"] | sort_by(.name | ascii_downcase))
' "$folder/all.json" > "$bom.new"
rm "$folder"/{all.json,linked,linked.tsv,log}
mv "$bom.new" "$bom"
echo "$bom: $(jq -r '[.components[] | select(.scope == "required")] | length' "$bom") components"
