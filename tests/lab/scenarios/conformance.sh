#!/usr/bin/env bash
# conformance.sh [SUITE...]: libiscsi's test suite against a volume over LIO iSCSI; the raw text goes to $OUT/conformance/SUITE.txt.
# Fails if a test fails that is not named in conformance.expected beside this file.
# In the lab. Needs the package libiscsi-bin. Environment: see common.sh.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

suites=("$@")
[[ $# -gt 0 ]] || suites=(Inquiry Mandatory ModeSense6 ReadCapacity10 ReadCapacity16 ReadOnly
  Read6 Read10 Read12 Read16 Write10 Write12 Write16 Verify10 Verify12 Verify16 Unmap WriteSame10 WriteSame16
  StartStopUnit TestUnitReady ReportSupportedOpcodes iSCSITMF iSCSIResiduals)
size=$((256 << 20))
expected=$scenarios/conformance.expected
texts=$OUT/conformance
mkdir -p "$texts"

attach() { volume_backstore "$size" 512 && lio_iscsi_export "$VOLUME"; }
run_suite() {
  timeout -k 5 "${SUITE_SECONDS:-120}" iscsi-test-cu --dataloss --test="ALL.$1" "iscsi://$LIO_PORTAL/$LIO_IQN/0" > "$texts/$1.txt" 2>&1 || true
}
# Names of the tests of a suite that failed: "  Test: Simple ..." up to the next, with FAILED as its verdict.
failed_tests() {
  awk -v suite="$1" '
    /^ *Test: / { name = $2 }
    /^Run Summary/ { exit }
    /FAILED *$/ && !/\[FAILED\]/ { print suite "." name }
    /\.\.\. *FAILED/ { print suite "." name }' "$texts/$1.txt" | sort -u
}
count() { sed -n "s/^ *tests *\([0-9]*\) *\([0-9]*\) *\([0-9]*\) *\([0-9]*\).*/\\$2/p" "$texts/$1.txt" | head -n 1; }

scenario_start
say "libiscsi's suite over LIO iSCSI"
step "configured" gateway_config local
step "gateway started" gateway_start
step "volume created" volume_create 256MiB 512
step "exported" attach
total=0
for suite in "${suites[@]}"; do
  run_suite "$suite"
  ran=$(count "$suite" 2)
  total=$((total + ${ran:-0}))
  mapfile -t failed < <(failed_tests "$suite")
  surprises=()
  for name in "${failed[@]}"; do
    [[ -z $name ]] || grep -qxF "$name" "$expected" || surprises+=("$name")
  done
  clean() { [[ -n $ran && ${#surprises[@]} -eq 0 ]] || { printf '%s failed\n' "${surprises[@]}"; grep -E '^ *\[FAILED\]' "$texts/$suite.txt" | head -n 5; tail -n 3 "$texts/$suite.txt"; return 1; }; }
  check "$suite: ${ran:-0} tests$([[ -z ${failed[0]-} ]] || printf ', as expected not: %s' "${failed[*]#*.}")" clean || true
done
say "  $total tests"
check "the kernel's log is clean" check_kernel_log || true
scenario_end
