#!/usr/bin/env bash
# chaos.sh [ROW...]: what initiators see while the store fails: fio with verification on ext4 over iSCSI, in the lab. Rows: outage-writes
# outage-reads journal-full flaky revoked bucket-gone damaged kills; all of them by default. One line a row, and $OUT/chaos.json.
# The store's faults are made by fault-proxy and ceph-mini on the host, through the control port (tests/lab/chaos starts all of it).
# Environment: see common.sh; CHAOS_CONTROL (10.0.2.100:7481); CHAOS_SHORT=1: shorter outages, for every day.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

STORE=s3
control=${CHAOS_CONTROL:-10.0.2.100:7481}
size=$((1 << 30))
mkdir -p "$OUT"
results=$OUT/chaos.json
: > "$results.rows"
if [[ -n ${CHAOS_SHORT-} ]]; then pause_s=25 kill_s=30 full_s=40 flaky_s=30 kills=3; else pause_s=60 kill_s=120 full_s=60 flaky_s=60 kills=30; fi

# control WHAT: one request to the control port.
control() {
  local status
  exec 9<> "/dev/tcp/${control%:*}/${control#*:}" || return 1
  printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" >&9
  read -r status <&9
  exec 9>&-
  [[ $status == *' 200 '* ]] || { echo "control: $1: $status" >&2; return 1; }
}

fio_run() {
  local name=$1
  shift
  # shellcheck disable=SC2153 # FILE is the caller's.
  fio --name="$name" --filename="$MOUNT/$FILE" --direct=1 --ioengine=libaio --verify=crc32c --verify_interval=4096 --verify_fatal=1 \
    --verify_state_save=0 --verify_dump=0 --thread --output-format=json --output="$OUT/fio-$name.json" "$@" > "$OUT/fio-$name.log" 2>&1
}

# Longest completion time in a fio result, in tenths of a second.
fio_longest() {
  awk '/"clat_ns"/ { inside = 1 } inside && /"max"/ { gsub(/[^0-9]/, "", $3); if ($3 + 0 > m) m = $3 + 0; inside = 0 }
    END { printf "%.1f", m / 1e9 }' "$1"
}
fio_errors() { sed -n 's/.*"total_err" *: *\([0-9]*\).*/\1/p' "$1" | awk '{ s += $1 } END { printf "%d", s }'; }

# probe LBA: one READ of a block beside the file system, by SG_IO, so that no layer retries; what it was answered with, in REPLY.
probe() {
  local answer lba
  printf -v lba '%016x' "$1"
  answer=$(sg_raw -t 60 -r 4096 "$LIO_DISK" 88 00 "${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" "${lba:8:2}" "${lba:10:2}" "${lba:12:2}" "${lba:14:2}" 00 00 00 01 00 00 2>&1) || true
  REPLY=$(sed -n 's/.*Sense key: *//p; s/.*Additional sense: */ /p' <<< "$answer" | tr -d '\n')
  [[ -n $REPLY ]] || REPLY=$(grep -o 'SCSI Status: .*' <<< "$answer" | head -n 1)
  [[ -n $REPLY ]] || REPLY=none
}

threads() { sed -n 's/^Threads:[[:space:]]*//p' "/proc/$gateway_pid/status"; }
resident_mib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$gateway_pid/status" | awk '{ printf "%d", $1 / 1024 }'; }

# row NAME OK STALL ERRORS SENSE VERIFIED
row() {
  local mark='✔'
  [[ $2 == true ]] || { mark='✘'; checks_failed=$((checks_failed + 1)); }
  printf '  %s %-14s longest %6s s  errors %s  verified %-5s  %s MiB, %s threads  %s\n' "$mark" "$1" "$3" "$4" "$6" "$(resident_mib)" "$(threads)" "$5"
  printf '{"row": "%s", "ok": %s, "longest_stall_s": %s, "errors": %s, "sense": "%s", "verified": %s, "resident_mib": %s, "threads": %s}\n' \
    "$1" "$2" "$3" "$4" "$5" "$6" "$(resident_mib)" "$(threads)" >> "$results.rows"
}

# judge NAME FIO-NAME FIO-EXIT SENSE [SENSE-WANTED]: the row of a fio run.
judge() {
  local name=$1 json=$OUT/fio-$2.json code=$3 sense=$4 ok=true verified=true errors
  errors=$(fio_errors "$json")
  [[ $code -eq 0 && $errors == 0 ]] || ok=false verified=false
  [[ -z ${5-} || $sense == *$5* ]] || ok=false
  row "$name" "$ok" "$(fio_longest "$json")" "${errors:-1}" "$sense" "$verified"
}

# The blocks behind the file system are written once, and never cached for long: for probes.
cold=$((size / 4096 - 64))
cold_next() { cold=$((cold - 8192)); [[ $cold -gt $((size * 5 / 8 / 4096)) ]] || cold=$((size / 4096 - 64)); }

# --- Rows ------------------------------------------------------------------------------------------------------------------

# 24 writes a second for all of the time, each block once; then all of it is read back.
row_outage_writes() {
  local total=$((pause_s + kill_s + 40)) code=0 pid
  FILE=writes fio_run outage-writes --rw=randwrite --bs=4k --iodepth=16 --rate_iops=24 --size=$((24 * total * 4))k --do_verify=1 &
  pid=$!
  pause 10
  control store/rgw-pause; pause "$pause_s"; control store/rgw-cont
  pause 15
  control store/rgw-kill; pause "$kill_s"; control store/rgw-start
  wait "$pid" || code=$?
  judge outage-writes outage-writes "$code" none
}

row_outage_reads() {
  local code=0 pid total=$((pause_s + kill_s - 10 + 40))
  step "cold data written" fill_cold
  FILE=cold fio_run outage-reads --rw=randread --bs=4k --iodepth=16 --rate_iops=16 --time_based --runtime="$total" &
  pid=$!
  pause 10
  control store/rgw-pause; pause "$((pause_s / 2))"
  cold_next; probe "$cold"; sense=$REPLY
  pause "$((pause_s / 2))"; control store/rgw-cont
  pause 15
  control store/rgw-kill; pause "$((kill_s - 10))"; control store/rgw-start
  wait "$pid" || code=$?
  judge outage-reads outage-reads "$code" "$sense" 'Not Ready'
}

# Larger than all caches; then the gateway starts anew, with nothing in memory.
fill_cold() {
  FILE=cold fio_run fill-cold --rw=write --bs=256k --iodepth=4 --size=160M --do_verify=0 &&
    dd if=/dev/urandom of="$LIO_DISK" bs=1M seek=$((size * 5 / 8 / 1048576)) count=$((size * 3 / 8 / 1048576)) oflag=direct conv=notrunc status=none &&
    volume_settled 300 && gateway_kill9 && gateway_start
}

# The journal fills up and stays full for a while.
row_journal_full() {
  local code=0 pid
  control store/rgw-kill
  FILE=full fio_run journal-full --rw=write --bs=64k --iodepth=8 --size=96M --do_verify=1 &
  pid=$!
  wait_for 120 journal_is_full || true
  pause "$full_s"
  sense=$(journal_is_full && echo 'journal full' || echo 'journal never full')
  control store/rgw-start
  wait "$pid" || code=$?
  judge journal-full journal-full "$code" "$sense" 'journal full'
}
journal_is_full() { grep -q 'Journal of volume .* is full' "$GATEWAY_LOG"; }

row_flaky() {
  local code=0 pid
  control 'faults?unavailable=0.15&reset=0.15&slow=0.05&delaySeconds=10'
  FILE=flaky fio_run flaky --rw=randrw --rwmixread=30 --bs=4k --iodepth=8 --rate_iops=40 --size=$((40 * flaky_s * 2))k --do_verify=1 || code=$?
  control faults
  judge flaky flaky "$code" none
}

# outage_by FAULT NAME: writes and reads while every request is refused.
outage_by() {
  local code=0 pid seconds=30
  FILE=$2 fio_run "$2" --rw=randwrite --bs=4k --iodepth=8 --rate_iops=24 --size=$((24 * 60 * 4))k --do_verify=1 &
  pid=$!
  pause 10
  control "faults?$1=1"; pause $((seconds / 2))
  cold_next; probe "$cold"; sense=$REPLY
  pause $((seconds / 2)); control faults
  wait "$pid" || code=$?
  judge "$2" "$2" "$code" "$sense" 'Not Ready'
}
row_revoked() { outage_by revoked revoked; }
row_bucket_gone() { outage_by bucketGone bucket-gone; }

# Every answer from the log has a byte that is wrong: MEDIUM ERROR with the LBA, and never wrong data.
row_damaged() {
  local ok=true sense
  dd if=/dev/urandom of="$LIO_DISK" bs=1M seek=$((size / 1048576 - 2)) count=2 oflag=direct conv=notrunc status=none
  cold=$((size / 4096 - 64))
  volume_settled 120 && gateway_kill9 && gateway_start
  control "faults?flip=/log/"
  probe "$cold"; sense=$REPLY
  control faults
  [[ $sense == *'Medium Error'*'nrecovered read error'* ]] || ok=false
  probe "$cold"
  [[ $REPLY == *Good* || $REPLY == none ]] || ok=false
  row damaged "$ok" 0 0 "$sense, then $REPLY" true
}

row_kills() {
  local code=0 pid i
  control 'faults?unavailable=0.05&reset=0.05'
  FILE=kills fio_run kills --rw=randwrite --bs=4k --iodepth=8 --rate_iops=24 --size=$((24 * (kills * 10 + 10) * 4))k --do_verify=1 &
  pid=$!
  for ((i = 0; i < kills; i++)); do
    pause 8
    gateway_kill9
    gateway_start || code=1
  done
  control faults
  wait "$pid" || code=$?
  judge kills kills "$code" none
}

# --- The story --------------------------------------------------------------------------------------------------------------

rows=("$@")
[[ ${#rows[@]} -gt 0 ]] || rows=(outage-writes outage-reads journal-full flaky revoked bucket-gone damaged kills)
scenario_start
say "fio over iSCSI on ext4 while the store fails"
JOURNAL_BYTES=67108864 LEASE_SECONDS=${LEASE_SECONDS:-120} step "configured" gateway_config "$STORE"
step "gateway started" gateway_start
step "volume created" volume_create 1GiB 4096
step "exported and logged in" volume_attach $size 4096
step "ext4 on its first half" mkfs.ext4 -q -F -b 4096 -E nodiscard "$LIO_DISK" 131072
step "mounted" mount -o noatime "$LIO_DISK" "$MOUNT"
for name in "${rows[@]}"; do
  "row_${name//-/_}"
  rm -f "$MOUNT"/* 2>/dev/null || true
done
step "unmounted" umount "$MOUNT"
check "the file system is clean" filesystem_clean || true
check "the kernel's log is clean" check_kernel_log || true
{ echo '['; sed '$!s/$/,/; s/^/  /' "$results.rows"; echo ']'; } > "$results"
scenario_end
