#!/usr/bin/env bash
# test.sh [fast]: runs the tests and closes with "N passed, N failed[, N skipped]". Everything must have been built (make build publish).
#   fast   only what needs no kernel and no server
# Environment: TEST_FILTER  a filter for dotnet test, such as FullyQualifiedName~Journal
set -uo pipefail
cd "$(dirname "$0")/.." || exit
results=artifacts/test-results
rm -rf "$results"
mkdir -p "$results"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
export TEST_NOTES=$PWD/$results/notes

fast=(Gateway.Scsi.Tests Gateway.Tcmu.Tests Gateway.Lio.Tests Gateway.Volumes.Tests Gateway.Transfer.Tests Gateway.Simulation.Tests Gateway.Backends.S3.Tests Gateway.Backends.Grpc.Tests Gateway.Backends.Rados.Tests Gateway.Backends.Resilience.Tests Gateway.Tests Gateway.Conformance.Tests)
all=("${fast[@]}" Gateway.Page.Tests Gateway.Helm.Tests Gateway.Integration.Tests)
filter=${TEST_FILTER-}
if [[ ${1-} == fast ]]; then
  assemblies=("${fast[@]}")
  filter="Category!=Server&Category!=Lab${filter:+&($filter)}"
else
  # Tests of containers need a Docker engine, which is started for them where none runs.
  [[ -n ${TEST_ENGINE-} ]] || TEST_ENGINE=asked exec scripts/with-docker.sh "scripts/${0##*/}" "$@"
  assemblies=("${all[@]}")
  # What is named must have run: a machine that lacks it fails instead of skipping.
  export REQUIRE_RGW=1 REQUIRE_LAB=1 REQUIRE_CHROMIUM=1 REQUIRE_PROMETHEUS=1 REQUIRE_HELM=1 REQUIRE_CLI=1 REQUIRE_DOCKER=1 REQUIRE_PACKAGING=1
fi

passed=0 failed=0 skipped=0
count() { # FILE ATTRIBUTE: a counter of a trx file.
  sed -n "s/.*<Counters [^>]*\b$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}
failures() { # FILE: the failed tests of a trx file, each with the first line of its message and the checks of a scenario that did not hold.
  awk '
    /<UnitTestResult / { failed = / outcome="Failed"/; if (failed) { match($0, / testName="[^"]*"/); print "FAILED " substr($0, RSTART + 11, RLENGTH - 12); lines = 0 } }
    failed && /<StdOut>|<StackTrace>/ { message = 0 }
    failed && sub(/.*<Message>/, "") { message = 1 }
    failed && message && (lines == 0 || /✘/) && lines < 6 { last = sub(/<\/Message>.*/, ""); print "       " substr($0, 1, 300); lines++; if (last) message = 0 }
    /<\/Message>/ { message = 0 }' "$1" | sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&#xD;//g; s/&amp;/\&/g'
}
for assembly in "${assemblies[@]}"; do
  echo "== $assembly"
  started=$SECONDS
  dotnet test "artifacts/bin/$assembly/release/$assembly.dll" ${filter:+--filter "$filter"} --results-directory "$results" \
    --logger "trx;LogFileName=$assembly.trx" --logger "console;verbosity=${TEST_VERBOSITY:-minimal}" --blame-hang-timeout 20m
  code=$?
  trx=$results/$assembly.trx
  if [[ -s $trx ]]; then
    p=$(count "$trx" passed) f=$(count "$trx" failed) e=$(count "$trx" executed) t=$(count "$trx" total)
    passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${t:-0} - ${e:-0}))
    # A run that ended badly without a failed test (a crash, a hang) is a failure, too.
    [[ $code -eq 0 || ${f:-0} -gt 0 ]] || { failed=$((failed + 1)); echo "FAILED $assembly: it ended with exit code $code (a crash or a hang), see $results" >> "$results/failures"; }
    failures "$trx" >> "$results/failures"
  elif [[ $code -ne 0 || -z $filter ]]; then
    echo "FAILED $assembly: no result was written (exit code $code)" | tee -a "$results/failures" >&2
    failed=$((failed + 1))
  fi
  echo "   $((SECONDS - started)) s"
done

echo
[[ ! -s $TEST_NOTES ]] || cat "$TEST_NOTES"
[[ ! -s $results/failures ]] || cat "$results/failures"
line="$passed passed, $failed failed"
[[ $skipped -eq 0 ]] || line+=", $skipped skipped"
echo "$line"
[[ $failed -eq 0 && $passed -gt 0 ]]
