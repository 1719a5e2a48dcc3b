#!/usr/bin/env bash
# powercut-verify.sh recover|journal-lost: the phases of ../powercut after the machine was killed.
#   recover       the journal is there: every promise in /out/acked must be kept
#   journal-lost  the journal is deleted first: the volume opens at an earlier, consistent state that holds all of set A,
#                 and of the files B a prefix: with one of them, all before it
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

mode=${1:-}
case $mode in recover | journal-lost) ;; *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64 ;; esac

set_a_intact() { (cd "$MOUNT" && sha256sum -c --quiet "$OUT/set-a"); }

# The state of every promised file: "b/N: OK" or "b/N: FAILED...", in order.
promises() { awk '{ print $2 "  b/" $1 }' "$OUT/acked" | (cd "$MOUNT" && sha256sum -c - 2>/dev/null) || true; }
all_promises_kept() { ! promises | grep -v ': OK$'; }

# After a first file that is not intact no other may be.
survivors_are_a_prefix() {
  promises | awk '/: OK$/ { if (lost) { print "intact after the lost " lost ": " $0; bad = 1 } next } { if (!lost) lost = $0 } END { exit bad }'
}

scenario_start
touch "$OUT/acked"
say "After the power cut: $mode ($(wc -l < "$OUT/acked") files were promised)"
if [[ $mode == journal-lost ]]; then step "the journal is deleted" rm -rf "$SCRATCH/journal"; fi
step "configured" gateway_config "$STORE"
# The bucket knows that flushed writes were in that journal: somebody must give them up.
if [[ $mode == journal-lost ]]; then step "the volume is taken over" "$GATEWAY" volume takeover "$STORE/$VOLUME" --force --config "$GATEWAY_CONFIG"; fi
step "gateway started" gateway_start
step "exported and logged in" volume_attach $((1 << 30)) 4096
step "the file system's journal is replayed (mount, unmount)" mount "$LIO_DISK" "$MOUNT"
umount "$MOUNT"
check "e2fsck finds nothing" filesystem_clean || true
step "mounted" mount -o ro "$LIO_DISK" "$MOUNT"
check "set A is intact" set_a_intact || true
if [[ $mode == recover ]]; then
  check "every promised file is intact" all_promises_kept || true
else
  check "the surviving files are a prefix of those written" survivors_are_a_prefix || true
fi
say "  files that survived: $(promises | grep -c ': OK$') of $(wc -l < "$OUT/acked")"
umount "$MOUNT"
check "the kernel's log is clean" check_kernel_log || true
scenario_end
