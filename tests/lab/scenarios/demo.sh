#!/usr/bin/env bash
# demo.sh: the gateway's story in a minute: a disk that lives in a bucket, and what happens when the gateway is killed.
# In the lab, or with DEMO_HOST=1 as root on a host with LIO and open-iscsi. Environment: see common.sh.
set -euo pipefail
if [[ -n ${DEMO_HOST-} && -z ${SCRATCH-} ]]; then
  SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-gateway-demo.XXXXXX")
  OUT=${OUT:-$SCRATCH}
  scratch_is_temporary=1
fi
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

files=${DEMO_FILES:-8}
file_mib=${DEMO_FILE_MIB:-8}

# Writes the second half of the files with their sums; runs while the gateway is killed.
write_files() {
  local i
  for ((i = $1; i <= $2; i++)); do
    head -c "${file_mib}M" /dev/urandom | tee "$MOUNT/file$i" | sha256sum | sed "s/-/file$i/" >> "$SCRATCH/sums" || return 1
    sync "$MOUNT/file$i" || return 1
  done
}
sums_match() { (cd "$MOUNT" && sha256sum -c --quiet "$SCRATCH/sums"); }
drop_caches() { sync && echo 3 > /proc/sys/vm/drop_caches; }

scenario_start
rm -f "$SCRATCH/sums"
say "1. A volume in a bucket"
step "configuration written" gateway_config "$STORE"
step "gateway started" gateway_start
step "volume $STORE/$VOLUME of 1 GiB created" volume_create 1GiB 4096
say "2. The volume as a SCSI disk"
step "exported over iSCSI and logged in" volume_attach $((1 << 30)) 4096
say "    $LIO_DISK: $(cat "/sys/block/${LIO_DISK##*/}/device/vendor")$(cat "/sys/block/${LIO_DISK##*/}/device/model")"
step "ext4 made" mkfs.ext4 -q "$LIO_DISK"
step "mounted" mount "$LIO_DISK" "$MOUNT"
step "$((files / 2)) files of $file_mib MiB written" write_files 1 $((files / 2))
say "3. The gateway is killed in the middle of writing"
write_files $((files / 2 + 1)) "$files" &
writer=$!
busy() { [[ $(awk '{ print $9 }' "/sys/block/${LIO_DISK##*/}/stat") -gt 0 ]] || ! process_alive "$writer"; }
WAIT_INTERVAL=0.01 wait_for 30 busy || true
step "gateway killed (SIGKILL) with writes in flight" gateway_kill9
now_us; killed=$REPLY
step "gateway started again" gateway_start
now_us; say "    it serves again after $(((REPLY - killed) / 1000)) ms"
writer_ended_well() { wait "$writer"; }
step "the writer noticed nothing" writer_ended_well
say "4. Everything is there"
drop_caches
check "all $files files have their checksums" sums_match || true
step "unmounted" umount "$MOUNT"
check "e2fsck finds nothing" filesystem_clean || true
check "the kernel's log is clean" check_kernel_log || true
say "5. In the bucket"
check "all writes arrived" volume_settled 60 || true
bucket_summary || true
scenario_end
