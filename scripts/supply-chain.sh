#!/usr/bin/env bash
# supply-chain.sh: asks the package registry what is known against the packages of the executable, restores every project with its lock file as it stands, and compares
# docs/licences.md with the bill of materials. Prints what was found; ends with 1 if anything is wrong, with 69 if the registry knows no advisories.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "Known vulnerabilities of the executable's packages, direct and transitive:"
dotnet list src/Gateway package --vulnerable --include-transitive > "$log" 2>&1 || status=1
grep -E 'vulnerable|^ +>|error' "$log" | sed 's/^/  /'
grep -q 'has no vulnerable packages' "$log" || status=1
# A registry without advisories, a mirror for example, finds everything in order: it must know of a package that has had one for years.
canary=$(mktemp -d)
cat > "$canary/canary.csproj" << 'PROJECT'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><TargetFramework>net10.0</TargetFramework><NuGetAudit>false</NuGetAudit></PropertyGroup>
  <ItemGroup><PackageReference Include="Newtonsoft.Json" Version="12.0.1" /></ItemGroup>
</Project>
PROJECT
if ! (cd "$canary" && dotnet list canary.csproj package --vulnerable 2>&1) | grep -q '> Newtonsoft.Json'; then
  echo "  This says nothing: the registry that is used here has no advisories (it does not know that of Newtonsoft.Json 12.0.1 either)."
  [[ $status -ne 0 ]] || status=69
fi
rm -rf "$canary"

echo "Lock files:"
if dotnet restore Gateway.sln --locked-mode -v quiet > "$log" 2>&1; then echo "  every project restores with its lock file"; else sed 's/^/  /' "$log"; status=1; fi

echo "Licences:"
if scripts/licences.sh > "$log" && diff -u docs/licences.md "$log"; then echo "  docs/licences.md is current, and all are allowed"; else echo "  run 'make licences', and look at what changed"; status=1; fi
exit $status
