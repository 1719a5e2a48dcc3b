#!/usr/bin/env bash
# by-hand.sh: docs/by-hand.md, its commands as they stand there, with the disk as a local one (6a).
# In the lab. Environment: GATEWAY, see common.sh.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

disk='' # Set by the document's commands.
document=$scenarios/../../../docs/by-hand.md
# block N: the commands of the N-th fenced block of that section.
block() {
  awk -v wanted="$1" '/^```/ { inside = !inside; if (inside) n++; next } inside && n == wanted' "$document"
}
run() { # run COMMANDS: in this shell, since they set variables and change the folder.
  set +u
  # shellcheck disable=SC1090
  . <(printf '%s\n' "$1")
  set -u
}
serve() { # Block 4, the daemon in the background.
  run "$(block 4 | grep -v '^tcmu-gateway serve$')"
  tcmu-gateway serve > "$GATEWAY_LOG" 2>&1 < /dev/null &
  gateway_pid=$!
  serving() { grep -q 'and waits for more' "$GATEWAY_LOG"; }
  wait_for 30 serving
}
local_disk() {
  run "$(block 6 | grep -v '^disk=')"
  appeared() { compgen -G "/sys/class/scsi_device/$(cat loopback/naa.6001405000000001/tpgt_1/address):0/device/block/*" > /dev/null; }
  wait_for 30 appeared
  run "$(block 6 | grep '^disk=')"
  [[ -b $disk ]]
}
undo() { run "$(block 9 | sed '/^# 6b/,/^# 6a/d')"; }
nothing_left() { [[ ! -e /sys/kernel/config/target/core/user_0 && ! -e /sys/kernel/config/target/loopback/naa.6001405000000001 ]]; }

scenario_start
say "A volume by hand, as docs/by-hand.md has it"
[[ $(block 4) == *"tcmu-gateway serve"* && $(block 9) == *"rmdir core/user_0/disk1"* ]] || { say "the document's blocks are not where they were"; exit 1; }
install -m 755 "$GATEWAY" /usr/local/bin/tcmu-gateway
mkdir -p "$SCRATCH/lib" /var/lib/tcmu-gateway
mount --bind "$SCRATCH/lib" /var/lib/tcmu-gateway # The guest's root is in memory, too small for a journal.
step "2. kernel" run "$(block 2)"
step "3. configuration" run "$(block 3)"
step "4. a volume, and the daemon" serve
step "5. the device" run "$(block 5)"
step "6a. as a local disk" local_disk
step "7. use it" run "$(block 8)"
step "a file is written" cp "$GATEWAY" /mnt/file
echo 3 > /proc/sys/vm/drop_caches
check "and read back" cmp "$GATEWAY" /mnt/file || true
step "undo" undo
check "nothing is left of it in configfs" nothing_left || true
check "the kernel's log is clean" check_kernel_log || true
cd /
scenario_end
