#!/usr/bin/env bash
# fio-kills.sh [SECONDS [KILLS]]: random 4 KiB writes at depth 32 with verification, while the gateway is killed with
# SIGKILL and started again KILLS (5) times within SECONDS (60). Nothing may fail: the initiator only sees a stall.
# Environment: see common.sh; REGION_MIB (128) of the disk are written. To be run in the lab.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

seconds=${1:-60}
kills=${2:-5}
region=${REGION_MIB:-128}
FIO_MIB=$region
size=$((1 << 30))

# Writes and verifies in rounds until every kill has happened and the time is over. Runs beside the killer.
writer() {
  local round=0 end
  now_us; end=$((REPLY + seconds * 1000000))
  while :; do
    round=$((round + 1))
    fio_run "round-$round" --rw=randwrite --bs=4k --iodepth=32 --randseed=$((round * 7919)) --do_verify=1 --runtime="$seconds" || return 1
    now_us
    if ((REPLY >= end)) && [[ -e $LIO_STATE/kills-done ]]; then return 0; fi
  done
}

scenario_start
rm -f "$OUT"/fio-*
say "fio over iSCSI while the gateway dies $kills times"
step "configured" gateway_config "$STORE"
step "gateway started" gateway_start
step "volume created" volume_create 1GiB 4096
step "exported and logged in" volume_attach $size 4096
step "$region MiB written in order" fio_run fill --rw=write --bs=256k --iodepth=4 --do_verify=0

mkdir -p "$LIO_STATE"
rm -f "$LIO_STATE/kills-done"
writer &
writer_pid=$!
for ((i = 1; i <= kills; i++)); do
  # A random moment in this kill's share of the time.
  pause "$((seconds / (kills + 1) / 2)).$((RANDOM % 10))"
  pause "$((RANDOM % (seconds / (kills + 1) / 2 + 1))).$((RANDOM % 10))"
  process_alive "$writer_pid" || break
  gateway_kill9
  now_us; killed=$REPLY
  step "kill $i: started again" gateway_start
  now_us
  say "      back after $(((REPLY - killed) / 1000)) ms"
done
touch "$LIO_STATE/kills-done"

writer_ok() { wait "$writer_pid"; }
if writer_ok; then
  say "  ✔ no write failed and all that was written read back right ($(find "$OUT" -name 'fio-round-*.json' | wc -l) rounds)"
else
  say "  ✘ fio failed:"
  tail -n 8 "$OUT"/fio-round-*.log
  checks_failed=$((checks_failed + 1))
fi
check "every block of the region is whole" fio_run final --rw=read --bs=256k --iodepth=4 || true
check "the kernel's log is clean" check_kernel_log || true
say "  longest time a command took: $(fio_longest_ms "$OUT"/fio-round-*.json) ms"
scenario_end
