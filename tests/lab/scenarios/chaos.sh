#!/usr/bin/env bash
# chaos.sh [ROW...]: what initiators see while the store fails: fio with verification on ext4 over iSCSI, in the lab. Rows: outage-writes
# outage-reads journal-full flaky revoked bucket-gone damaged aborts policies restarts kills; all of them by default. One line a row, and $OUT/chaos.json.
# The store's faults are made by fault-proxy and ceph-mini on the host, through the control port (tests/lab/chaos starts all of it). It is also told when each
# fault begins and ends, and which alerts operators must then hear of: the host compares that with what a Prometheus made of the gateway's metrics.
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
if [[ -n ${CHAOS_SHORT-} ]]; then pause_s=50 kill_s=45 full_s=40 flaky_s=20 kills=3 restarts=2; else pause_s=60 kill_s=120 full_s=60 flaky_s=60 kills=30 restarts=5; fi

# control WHAT: a request to the control port that changes what the store does; those who watch the alerts are told of it.
control() {
  tell "$1"
  request "$1"
}

# An outage of the store must be told within a minute; one of less than so many seconds may pass without a word.
OUTAGE_TOLD_S=40
# Alerts that may come with a row's outages beside those that must: its journal really does fill; of a gateway that is killed every 10 s, in a guest where it takes
# seconds to start, scrape after scrape finds nothing; and short outages, one after the other, can be a quarter of two minutes.
declare -A row_may=([journal-full]=TcmuGatewayJournalFilling+TcmuGatewayJournalFull+TcmuGatewayLeaseLost [aborts]=TcmuGatewayBreakerOpen
  [policies]=TcmuGatewayBreakerOpen [restarts]=TcmuGatewayDown+TcmuGatewayBreakerOpen [kills]=TcmuGatewayDown)
row_now=''

# tell WHAT: what a request of control means for operators. Names are words with slashes between them.
tell() {
  case $1 in
    store/rgw-pause) begins store/stopped TcmuGatewayStoreAway "$OUTAGE_TOLD_S" ;;
    store/rgw-kill) begins store/killed TcmuGatewayStoreAway "$OUTAGE_TOLD_S" ;;
    'faults?blackHole=1') begins store/does/not/answer TcmuGatewayStoreAway "$OUTAGE_TOLD_S" ;;
    'faults?unavailable=1') begins store/answers/503 TcmuGatewayStoreAway "$OUTAGE_TOLD_S" ;;
    'faults?revoked=1') begins credentials/revoked TcmuGatewayStoreRefuses "$OUTAGE_TOLD_S" ;;
    'faults?bucketGone=1') begins bucket/gone TcmuGatewayStoreRefuses "$OUTAGE_TOLD_S" ;;
    'faults?flip='*) begins a/frame/damaged TcmuGatewayDataDamaged 0 ;;
    'faults?'*) begins some/requests/fail '' 0 ;;
    faults | store/rgw-cont | store/rgw-start) request mark/end ;;
  esac
}
# begins NAME ALERTS LEAST: a condition of at least LEAST seconds has these alerts, in a minute.
begins() { request "mark/begin/$1/least=$3/must=$2/may=${row_may[$row_now]-}"; }

# request WHAT: one request to the control port.
request() {
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

# probe LBA: one READ of a block, by SG_IO, so that no layer retries; what it was answered with, in REPLY, and the LBA that the answer names, in INFORMATION.
probe() {
  local answer lba
  printf -v lba '%016x' "$1"
  answer=$(sg_raw -t 60 -r 4096 "$LIO_DISK" 88 00 "${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" "${lba:8:2}" "${lba:10:2}" "${lba:12:2}" "${lba:14:2}" 00 00 00 01 00 00 2>&1) || true
  INFORMATION=$(sed -n 's/.*Info fld=0x\([0-9a-f]*\).*/\1/p' <<< "$answer" | head -n 1)
  REPLY=$(sed -n 's/.*Sense key: *//p; s/.*Additional sense: */ /p' <<< "$answer" | tr -d '\n')
  [[ -n $REPLY ]] || REPLY=$(grep -o 'SCSI Status: .*' <<< "$answer" | head -n 1)
  [[ -n $REPLY ]] || REPLY=none
}

threads() { sed -n 's/^Threads:[[:space:]]*//p' "/proc/$gateway_pid/status"; }
resident_mib() { sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$gateway_pid/status" | awk '{ printf "%d", $1 / 1024 }'; }

# The gateway's resident memory and threads, every other second, for as long as the rows run: "MIB THREADS" lines.
samples=$OUT/samples
sampler() {
  local key value rest mib threads pid
  while :; do
    mib='' threads=''
    { read -r pid < "$LIO_STATE/ready"; } 2> /dev/null || pid=none
    while read -r key value rest; do
      case $key in VmRSS:) mib=$((value / 1024)) ;; Threads:) threads=$value ;; esac
    done 2> /dev/null < "/proc/$pid/status" || true
    if [[ -n $threads ]]; then echo "$mib $threads" >> "$samples"; fi
    pause 2
  done
}

# What the gateway may hold whatever happens: its caches and buffers, and a thread for each of a few things that wait. No row may go beyond.
RESIDENT_MAX_MIB=${RESIDENT_MAX_MIB:-384}
THREADS_MAX=${THREADS_MAX:-48}

# row NAME OK STALL ERRORS SENSE VERIFIED
row() {
  local mark='✔' ok=$2 mib threads mib_least threads_least
  read -r mib threads mib_least threads_least < <(awk -v m="$(resident_mib)" -v t="$(threads)" 'BEGIN { a = m; b = t }
    { if ($1 > m) m = $1; if ($2 > t) t = $2; if ($1 < a) a = $1; if ($2 < b) b = $2 } END { print m + 0, t + 0, a + 0, b + 0 }' "$samples")
  : > "$samples"
  [[ $mib -le $RESIDENT_MAX_MIB && $threads -le $THREADS_MAX ]] || ok=false
  [[ $ok == true ]] || { mark='✘'; checks_failed=$((checks_failed + 1)); }
  printf '  %s %-14s longest %6s s  errors %s  verified %-5s  %s to %s MiB, %s to %s threads  %s\n' "$mark" "$1" "$3" "$4" "$6" \
    "$mib_least" "$mib" "$threads_least" "$threads" "$5"
  printf '{"row": "%s", "ok": %s, "longest_stall_s": %s, "errors": %s, "sense": "%s", "verified": %s, "resident_mib": %s, "threads": %s}\n' \
    "$1" "$ok" "$3" "$4" "${5//\"/}" "$6" "$mib" "$threads" >> "$results.rows"
}

# judge NAME FIO-NAME FIO-EXIT SENSE [SENSE-WANTED]: the row of a fio run.
judge() {
  local name=$1 json=$OUT/fio-$2.json code=$3 sense=$4 ok=true verified=true errors
  errors=$(fio_errors "$json")
  [[ $code -eq 0 && $errors == 0 ]] || ok=false verified=false
  [[ -z ${5-} || $sense == *$5* ]] || ok=false
  row "$name" "$ok" "$(fio_longest "$json")" "${errors:-1}" "$sense" "$verified"
}

# Blocks behind the file system that are in the bucket and in no memory: each is probed once.
cold=$((size / 4096 - 16384))
cold_next() { cold=$((cold + 256)); }
cold_write() { dd if=/dev/urandom of="$LIO_DISK" bs=1M seek=$((size / 1048576 - 64)) count=16 oflag=direct conv=notrunc status=none && volume_settled 120 && gateway_kill9 && gateway_start; }

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

# Larger than all caches, and no faster than the store takes it: this is not what fills the journal. Then the gateway starts anew, with nothing in memory.
fill_cold() {
  local mib=$((size * 5 / 8 / 1048576))
  FILE=cold fio_run fill-cold --rw=write --bs=256k --iodepth=4 --rate=4m --size=160M --do_verify=0 || return 1
  for ((; mib < size / 1048576; mib += 16)); do
    wait_for 120 journal_has_room && dd if=/dev/urandom of="$LIO_DISK" bs=1M seek="$mib" count=16 oflag=direct conv=notrunc status=none || return 1
  done
  volume_settled 300 && gateway_kill9 && gateway_start
}
journal_has_room() {
  exec 9<> "/dev/tcp/127.0.0.1/9464" || return 1
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&9
  awk '/^gateway_journal_utilization/ { use = $2 } END { exit !(use != "" && use < 0.3) }' <&9
}

# The journal fills up and stays full for a while.
row_journal_full() {
  local code=0 pid
  journal_fulls; fulls=$REPLY
  control store/rgw-kill
  FILE=full fio_run journal-full --rw=write --bs=64k --iodepth=8 --size=96M --do_verify=1 &
  pid=$!
  wait_for 120 journal_is_full || true
  begins journal/full TcmuGatewayJournalFull 20
  pause "$full_s"
  sense=$(journal_is_full && echo 'journal full' || echo 'journal never full')
  control store/rgw-start
  wait "$pid" || code=$?
  judge journal-full journal-full "$code" "$sense" 'journal full'
}
journal_fulls() { REPLY=$(grep -c 'Journal of volume .* is full' "$GATEWAY_LOG") || true; }
journal_is_full() { journal_fulls; [[ $REPLY -gt $fulls ]]; }

# Beside the writes a small file is read that the gateway has in memory: as long without faults, then with them.
row_flaky() {
  local code=0 pid before during ok=true
  FILE=hot fio_run hot-fill --rw=write --bs=64k --iodepth=4 --size=4M --do_verify=1
  FILE=flaky fio_run flaky-before --rw=randrw --rwmixread=30 --bs=4k --iodepth=8 --rate_iops=40 --size=$((40 * flaky_s))k --do_verify=1 &
  pid=$!
  hot_reads hot-before; before=$REPLY
  wait "$pid" || code=$?
  control 'faults?unavailable=0.15&reset=0.15&slow=0.05&delaySeconds=10'
  FILE=flaky fio_run flaky --rw=randrw --rwmixread=30 --bs=4k --iodepth=8 --rate_iops=40 --size=$((40 * flaky_s * 2))k --do_verify=1 &
  pid=$!
  hot_reads hot-during; during=$REPLY
  wait "$pid" || code=$?
  control faults
  # Far below the store's own delay, and like before: emulation makes it noisy.
  awk -v b="$before" -v d="$during" 'BEGIN { exit !(d < 4 * b + 50) }' || { ok=false; code=1; }
  judge flaky flaky "$code" "none; p99 of cached reads $before ms before, $during ms during$([[ $ok == true ]] || echo ': too long')"
}

# hot_reads NAME: reads in the gateway's memory; their p99 in ms, in REPLY.
hot_reads() {
  fio --name="$1" --filename="$MOUNT/hot" --direct=1 --ioengine=psync --rw=randread --bs=4k --size=4M --rate_iops=40 --time_based --runtime="$flaky_s" --thread \
    --output-format=json --output="$OUT/fio-$1.json" > "$OUT/fio-$1.log" 2>&1 || true
  REPLY=$(sed -n 's/.*"99.000000" *: *\([0-9]*\).*/\1/p' "$OUT/fio-$1.json" | sort -n | tail -n 1 | awk '{ printf "%.1f", $1 / 1e6 }')
  [[ -n $REPLY ]] || REPLY=999999
}

# outage_by FAULT NAME: writes and reads while every request is refused.
outage_by() {
  local code=0 pid seconds=50
  FILE=$2 fio_run "$2" --rw=randwrite --bs=4k --iodepth=8 --rate_iops=24 --size=$((24 * 80 * 4))k --do_verify=1 &
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

# damage_of LBA: where its frame is in the bucket: the segment in SEGMENT, an offset in its payload in AT.
damage_of() {
  local dump
  dump=$("$GATEWAY" volume dump "$STORE/$VOLUME" --lba "$1" --config "$GATEWAY_CONFIG") || return 1
  [[ $dump =~ segment\ ([^,]+),\ frameOffset\ ([0-9]+),\ frameLength\ ([0-9]+) ]] || { echo "volume dump says: $dump" >&2; return 1; }
  SEGMENT=${BASH_REMATCH[1]} AT=$((BASH_REMATCH[2] + BASH_REMATCH[3] / 2))
}

# One byte of one stored frame is wrong: MEDIUM ERROR with the LBA, never wrong data, and nothing else suffers. volume check names it.
row_damaged() {
  local ok=true sense report last=$((size / 4096 - 1)) at said='' right=true
  at=$((size / 4096 - 64))
  printf 'whole\n' > "$MOUNT/whole"; sync
  dd if=/dev/urandom of="$LIO_DISK" bs=1M seek=$((size / 1048576 - 2)) count=2 oflag=direct conv=notrunc status=none
  dd if="$LIO_DISK" bs=1M skip=$((size / 1048576 - 2)) count=2 iflag=direct status=none | sha256sum > "$OUT/damaged-before"
  volume_settled 120 && gateway_kill9 && gateway_start && damage_of "$at" || ok=false
  control "faults?flip=$SEGMENT&flipAt=$AT"
  probe "$at"; sense=$REPLY
  [[ $sense == *'Medium Error'*'nrecovered read error'* ]] || ok=false
  # A frame holds up to 32 blocks: the block read is the one named.
  [[ -n $INFORMATION && $((16#$INFORMATION)) -eq $at ]] || { ok=false; said=", INFORMATION ${INFORMATION:-none} is not the LBA"; }
  probe $((at - 256)); [[ $REPLY == *Good* ]] || { ok=false; said+=", its neighbour: $REPLY"; }
  echo 3 > /proc/sys/vm/drop_caches
  [[ $(< "$MOUNT/whole") == whole ]] || { ok=false; said+=", the file system is hurt"; }
  report=$("$GATEWAY" volume check "$STORE/$VOLUME" --config "$GATEWAY_CONFIG" 2> /dev/null) && { ok=false; said+=", volume check finds nothing"; }
  [[ $report =~ cannot\ be\ read:\ LBA\ ([0-9]+)\ to\ ([0-9]+) && ${BASH_REMATCH[1]} -le $at && ${BASH_REMATCH[2]} -ge $at ]] || { ok=false; said+=", volume check does not name it"; }
  control faults
  probe "$at"; [[ $REPLY == *Good* ]] || { right=false; said+=", then $REPLY"; }
  dd if="$LIO_DISK" bs=1M skip=$((size / 1048576 - 2)) count=2 iflag=direct status=none | sha256sum | cmp -s - "$OUT/damaged-before" || { right=false; said+=", the blocks hold something else"; }
  "$GATEWAY" volume check "$STORE/$VOLUME" --config "$GATEWAY_CONFIG" > /dev/null 2>&1 || { right=false; said+=", volume check is not clean afterwards"; }
  [[ $right == true ]] || ok=false
  row damaged "$ok" 0 0 "$sense, LBA $at of 0 to $last; volume check: LBA ${BASH_REMATCH[1]-none} to ${BASH_REMATCH[2]-none}$said" "$right"
}

# ms_of COMMAND...: how long it took, in REPLY; its exit code.
ms_of() {
  local from code=0
  now_us; from=$REPLY
  "$@" > /dev/null 2>&1 || code=$?
  now_us; REPLY=$(((REPLY - from) / 1000))
  return "$code"
}

# While the store hangs and reads wait for it: LUN RESET by sg_reset, and ABORT TASK, which Linux sends when a command has taken longer than its timeout.
row_aborts() {
  tmf_healthy=none tmf_away=none
  local ok=true healthy reset aborted idle readers=() i verified=true said='' first=$((size / 4096 - 1000)) late answer logged opened generic
  generic=$(echo "/sys/block/${LIO_DISK##*/}/device/scsi_generic"/sg*)
  generic=/dev/${generic##*/}
  late=$(printf '%08x' $((first + 700)))
  check_kernel_log || ok=false
  dd if=/dev/urandom of="$LIO_DISK" bs=1M seek=$((size / 1048576 - 4)) count=4 oflag=direct conv=notrunc status=none
  dd if="$LIO_DISK" bs=1M skip=$((size / 1048576 - 4)) count=4 iflag=direct status=none | sha256sum > "$OUT/aborts-before"
  ms_of sg_reset -d "$LIO_DISK" || ok=false
  healthy=$REPLY
  sg_turs "$LIO_DISK" > /dev/null 2>&1 || true # Takes the UNIT ATTENTION that the reset left.
  opened=$(grep -c 'is open as epoch' "$GATEWAY_LOG")
  volume_settled 120 && gateway_kill9 && gateway_start && wait_for 60 opened_after "$opened" || ok=false
  control 'faults?blackHole=1'
  in_flight; idle=$REPLY # Commands that were once aborted count for ever.
  for i in 1 2 3 4; do probe $((first + i * 100)) & readers+=($!); done
  wait_for 60 has_in_flight $((idle + 4)) || ok=false # Sent, and waiting for the store: on a slow machine that takes a while.
  ms_of sg_reset -d "$LIO_DISK" || ok=false
  reset=$REPLY
  # The readers end with the reset, not with the store.
  ms_of wait "${readers[@]}" || true
  [[ $REPLY -lt 3000 ]] || { ok=false; said+=", commands waited on for $REPLY ms"; }
  # Linux lets a command have more than its 2 s as long as the session looks alive, then sends the abort: what counts is from its arrival here to the
  # command's end. The first command may be answered at once, by the UNIT ATTENTION that the reset left. By the generic device: the block device gives
  # every command 7 s (BLK_MIN_SG_TIMEOUT), twice of which is about as long as the gateway tries the store.
  aborted=0
  for i in 1 2 3; do
    answer=$(sg_raw -t 2 -r 4096 "$generic" 88 00 00 00 00 00 "${late:0:2}" "${late:2:2}" "${late:4:2}" "${late:6:2}" 00 00 00 01 00 00 2>&1) || true
    now_us
    logged=$(sed -n 's/^\([^ ]*\) .*Task management function AbortTask.* concerns [1-9].*/\1/p' "$GATEWAY_LOG" | tail -n 1)
    [[ -z $logged ]] || { aborted=$((REPLY / 1000 - $(date -d "$logged" +%s%3N))); break; }
  done
  [[ -n $logged ]] || { ok=false; said+=", it was answered: $(tr -d '\n' <<< "$answer" | cut -c1-120)"; }
  control faults
  ((reset < 1000 + healthy && aborted < 1000 + healthy)) || ok=false
  libiscsi_functions || { ok=false; said+=", libiscsi's tests: $(grep -E 'FAILED|asserts' "$OUT/tmf.txt" | head -n 3 | tr -s ' \n' ' ')"; }
  wait_for 60 read_again || { ok=false; verified=false; }
  ! kernel_log | grep -E 'BROKEN|BUG:|Oops|blocked for more than|Call Trace|WARNING:|EXT4-fs error' || ok=false
  kernel_lines=$(dmesg | wc -l)
  row aborts "$ok" "$(awk -v r="$reset" -v a="$aborted" 'BEGIN { printf "%.1f", (r > a ? r : a) / 1000 }')" 0 "LUN RESET $reset ms ($healthy ms without an outage), ABORT TASK $aborted ms; libiscsi's tests $tmf_away ms ($tmf_healthy ms)$said" "$verified"
}
# libiscsi's tests of task management, by an initiator of its own, while the store does not answer. They are for blocks of 512 bytes: on the row's disk their
# WRITE would have less data than its blocks, and be refused. So they have a volume of their own.
libiscsi_functions() {
  local ok=true made LIO_IQN LIO_BACKSTORE VOLUME=tmf
  lio_made; made=$REPLY
  volume_create 64MiB 512 && volume_backstore $((64 << 20)) 512 && lio_iscsi_export tmf || return 1
  ms_of tmf_tests healthy || ok=false
  tmf_healthy=$REPLY
  control 'faults?blackHole=1'
  ms_of tmf_tests away || ok=false
  tmf_away=$REPLY
  control faults
  lio_teardown "$made" || ok=false
  [[ $ok == true && $tmf_away -lt $((tmf_healthy + 1000)) ]]
}
# Each time another initiator: LIO keeps the UNIT ATTENTION of the last test's reset for the next session of the same.
tmf_tests() {
  timeout -k 5 120 iscsi-test-cu --initiator-name="$LIO_IQN_PREFIX:tmf-$1" --dataloss --test=ALL.iSCSITMF "iscsi://$LIO_PORTAL/$LIO_IQN/0" > "$OUT/tmf.txt" 2>&1
  awk '/^ *tests / { ran = $3; failed = $5 } END { exit !(ran >= 2 && failed == 0) }' "$OUT/tmf.txt"
}
in_flight() { local device=/sys/block/${LIO_DISK##*/}/device; REPLY=$(($(< "$device/iorequest_cnt") - $(< "$device/iodone_cnt"))); }
has_in_flight() { in_flight && ((REPLY >= $1)); }
opened_after() { [[ $(grep -c 'is open as epoch' "$GATEWAY_LOG") -gt $1 ]]; }
read_again() { dd if="$LIO_DISK" bs=1M skip=$((size / 1048576 - 4)) count=4 iflag=direct status=none 2> /dev/null | sha256sum | cmp -s - "$OUT/aborts-before"; }

# The gateway is stopped (SIGTERM) and killed in turns under writes, then stopped while the store is away.
row_restarts() {
  local code=0 pid i from stop_max=0 back_max=0 away kinds=(TERM KILL)
  FILE=restarts fio_run restarts --rw=randrw --rwmixread=30 --bs=4k --iodepth=8 --rate_iops=40 --size=$((40 * (restarts * 26 + 10)))k --do_verify=1 &
  pid=$!
  begins gateway/restarts '' 0
  for ((i = 0; i < restarts * 2; i++)); do
    pause 8
    now_us; from=$REPLY
    kill -"${kinds[i % 2]}" "$gateway_pid"
    WAIT_INTERVAL=0.02 wait_for 60 ! process_alive "$gateway_pid" || code=1
    wait "$gateway_pid" 2> /dev/null || true
    now_us; [[ $((i % 2)) -eq 1 || $(((REPLY - from) / 1000)) -le $stop_max ]] || stop_max=$(((REPLY - from) / 1000))
    gateway_start || code=1
    now_us; [[ $(((REPLY - from) / 1000)) -le $back_max ]] || back_max=$(((REPLY - from) / 1000))
  done
  request mark/end
  wait "$pid" || code=1
  FILE=restarts fio_run restarts-away --rw=randwrite --bs=4k --iodepth=8 --rate_iops=40 --size=$((40 * 30))k --do_verify=1 &
  pid=$!
  pause 3
  control 'faults?blackHole=1'
  pause 3
  now_us; from=$REPLY
  kill -TERM "$gateway_pid"
  wait_for 60 ! process_alive "$gateway_pid" || code=1
  wait "$gateway_pid" 2> /dev/null || true
  now_us; away=$(((REPLY - from) / 1000))
  gateway_start || code=1
  pause 3
  control faults
  wait "$pid" || code=1
  [[ $stop_max -lt 5000 && $away -lt 8000 ]] || code=1
  judge restarts restarts "$code" "none; SIGTERM to exit at most $stop_max ms, $away ms with the store away; signal to attached again at most $back_max ms"
}

# What is done about an outage of 10 s, by policy; the policy is changed while the gateway runs.
row_policies() {
  local ok=true readonly_said fail_said
  umount "$MOUNT" || ok=false
  policy readOnly
  control 'faults?unavailable=1'
  wait_for 60 write_is 'Data Protect' || ok=false
  readonly_said=$REPLY
  sg_sync "$LIO_DISK" > /dev/null 2>&1 || { ok=false; readonly_said+=', a flush fails'; }
  probe 8; [[ $REPLY == *Good* ]] || { ok=false; readonly_said+=", a cached read: $REPLY"; }
  control faults
  wait_for 60 write_is Good || { ok=false; readonly_said+=", then $REPLY"; }
  policy fail
  control 'faults?unavailable=1'
  wait_for 60 write_is 'unavailable' || ok=false
  fail_said=$REPLY
  probe 8; [[ $REPLY == *unavailable* ]] || { ok=false; fail_said+=", a cached read: $REPLY"; }
  control faults
  wait_for 60 write_is Good || { ok=false; fail_said+=", then $REPLY"; }
  policy retry
  mount -o noatime "$LIO_DISK" "$MOUNT" || ok=false
  row policies "$ok" 0 0 "readOnly: $readonly_said; fail: $fail_said" true
}
# policy NAME: for long outages, from now on.
policy() {
  local before
  before=$(grep -c 'Configuration file' "$GATEWAY_LOG" || true)
  TELEMETRY_LISTEN=0.0.0.0:9464 JOURNAL_BYTES=67108864 LEASE_SECONDS=${LEASE_SECONDS:-180} VOLUME_SETTINGS=", \"onLongOutage\": \"$1\", \"longOutageSeconds\": 10" gateway_config "$STORE"
  kill -HUP "$gateway_pid"
  wait_for 20 reloaded_after "$before"
}
reloaded_after() { [[ $(grep -c 'Configuration file' "$GATEWAY_LOG") -gt $1 ]]; }
# write_is TEXT: a WRITE of the last block is answered so; the answer in REPLY.
write_is() {
  local answer lba
  printf -v lba '%08x' $((size / 4096 - 1))
  answer=$(sg_raw -t 60 -s 4096 -i /dev/zero "$LIO_DISK" 8a 00 00 00 00 00 "${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" 00 00 00 01 00 00 2>&1) || true
  REPLY=$(sed -n 's/.*Sense key: *//p; s/.*Additional sense: */ /p' <<< "$answer" | tr -d '\n')
  [[ -n $REPLY ]] || REPLY=$(grep -o 'SCSI Status: .*' <<< "$answer" | head -n 1)
  [[ $REPLY == *$1* ]]
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
[[ ${#rows[@]} -gt 0 ]] || rows=(outage-writes outage-reads journal-full flaky revoked bucket-gone damaged aborts policies restarts kills)
scenario_start
say "fio over iSCSI on ext4 while the store fails"
TELEMETRY_LISTEN=0.0.0.0:9464 JOURNAL_BYTES=67108864 LEASE_SECONDS=${LEASE_SECONDS:-180} step "configured" gateway_config "$STORE"
step "gateway started" gateway_start
step "volume created" volume_create 1GiB 4096
step "exported and logged in" volume_attach $size 4096
step "ext4 on its first half" mkfs.ext4 -q -F -b 4096 -E nodiscard "$LIO_DISK" 131072
step "mounted" mount -o noatime "$LIO_DISK" "$MOUNT"
step "cold blocks written" cold_write
step "served again" wait_for 120 opened_after 1
: > "$samples"
sampler & sampler_pid=$!
for name in "${rows[@]}"; do
  row_now=$name
  request "mark/row/$name"
  "row_${name//-/_}"
  rm -f "$MOUNT"/* 2>/dev/null || true
done
pause 15 # What the last row's fault led to is scraped, and judged.
request mark/done
kill "$sampler_pid" || true
step "unmounted" umount "$MOUNT"
check "the file system is clean" filesystem_clean || true
check "the kernel's log is clean" check_kernel_log || true
{ echo '['; sed '$!s/$/,/; s/^/  /' "$results.rows"; echo ']'; } > "$results"
scenario_end
