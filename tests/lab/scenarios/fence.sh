#!/usr/bin/env bash
# fence.sh a|b: two gateways and one volume, each in a guest of its own; tests/lab/fence runs both. A serves first; B stands by, takes over when A is
# stopped past its lease, hands back when it is shut down, and refuses to leave A's flushed writes behind until it is told to. Each side waits for the
# other's notes on the control port. Blocks hold "record N of WHO"; one is acknowledged when its write and a flush of the disk have succeeded.
# Environment: see common.sh; FENCE_CONTROL (10.0.2.100:7481).
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

side=$1
STORE=s3
control=${FENCE_CONTROL:-10.0.2.100:7481}
size=$((256 << 20))
lease=${LEASE_SECONDS:-30}
acked=$OUT/acked
mkdir -p "$OUT"
: > "$acked"

# ask PATH: one request to the control port; its answer in REPLY, 1 if it is not there.
ask() {
  local status line
  exec 9<> "/dev/tcp/${control%:*}/${control#*:}" || return 1
  printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" >&9
  read -r status <&9 || true
  while read -r line <&9 && [[ -n ${line%$'\r'} ]]; do :; done
  REPLY=''
  read -r REPLY <&9 || true
  exec 9>&-
  [[ $status == *' 200 '* ]]
}
note() { ask "set/$1/${2-1}"; }
# awaits NOTE [SECONDS]: the other side's note, its value in REPLY.
awaits() { WAIT_INTERVAL=0.5 wait_for "${2:-300}" ask "get/$1" || { lio_fail "the other side never said $1"; return 1; }; }

write_record() {
  printf '%-4095s\n' "record $1 of $side" > "$SCRATCH/block"
  dd if="$SCRATCH/block" of="$LIO_DISK" bs=4096 seek="$1" oflag=direct conv=notrunc,fsync status=none 2> /dev/null
}
# write_records FIRST LAST: stops at the first that fails, or when $SCRATCH/enough is there.
write_records() {
  local n
  for ((n = $1; n <= $2; n++)); do
    [[ ! -e $SCRATCH/enough ]] || return 0
    write_record "$n" || return 1
    echo "$n" >> "$acked"
  done
}
last_acked() { REPLY=$(tail -n 1 "$acked"); REPLY=${REPLY:-0}; }
# records_are WHO FIRST LAST
records_are() {
  local n text
  for ((n = $2; n <= $3; n++)); do
    text=$(dd if="$LIO_DISK" bs=4096 skip="$n" count=1 iflag=direct status=none | head -n 1)
    [[ ${text%% } == "record $n of $1"* ]] || { echo "block $n holds '${text:0:40}'"; return 1; }
  done
}
sense() {
  local answer
  answer=$(sg_raw -t 40 -r 4096 "$LIO_DISK" 88 00 00 00 00 00 00 00 00 01 00 00 00 01 00 00 2>&1) || true
  REPLY=$(sed -n 's/.*Sense key: *//p; s/.*Additional sense: */ /p' <<< "$answer" | tr -d '\n')
  [[ -n $REPLY ]] || REPLY=$(grep -o 'SCSI Status: .*' <<< "$answer" | head -n 1)
}
log_says() { grep -qE "$1" "$GATEWAY_LOG"; }
times_logged() { REPLY=$(grep -cE "$1" "$GATEWAY_LOG" || true); }
logged_more() { times_logged "$1"; [[ $REPLY -gt $2 ]]; }
opened_again() { logged_more 'is open as epoch' "$1"; }
# started_anew: the gateway, and it stands by.
started_anew() {
  local before
  times_logged 'is not opened yet'; before=$REPLY
  gateway_start && wait_for 60 logged_more 'is not opened yet' "$before"
}
login_anew() { iscsi_logout && iscsi_login; }
# shellcheck disable=SC2120
take_over() { "$GATEWAY" volume takeover "$STORE/$VOLUME" "$@" --config "$GATEWAY_CONFIG" > "$OUT/takeover.log" 2>&1; }
takeover_refuses() { ! take_over; }
since_ms() { local from=$1; now_us; REPLY=$(((REPLY - from) / 1000)); }

scenario_start
LEASE_SECONDS=$lease step "$side: configured" gateway_config "$STORE"
step "$side: gateway started" gateway_start

if [[ $side == a ]]; then
  step "volume created" volume_create 256MiB 4096
  step "exported and logged in" volume_attach $size 4096
  step "20 records written" write_records 1 20
  note a-serves
  step "B stands by" awaits b-stands-by

  # Stopped past its lease, with nothing left behind.
  step "20 more, while B stands by" write_records 21 40
  step "all of it is in the bucket" volume_settled 60
  pause 3
  kill -STOP "$gateway_pid"
  note a-stopped 40
  (write_records 41 60 || true) & writer=$!
  step "B serves and has written" awaits b-has-written
  kill -CONT "$gateway_pid"
  now_us; from=$REPLY
  step "the continued gateway knows that it is fenced" wait_for 60 log_says 'was opened for writing elsewhere'
  since_ms "$from"; say "      after $REPLY ms"
  wait_for 90 ! process_alive "$writer" || true
  touch "$SCRATCH/enough"
  last_acked; after=$REPLY
  check "it has acknowledged nothing since (last record $after)" test "$after" -eq 40 || true
  sense; say "      it answers: ${REPLY:-nothing}"
  note a-is-fenced "$after"
  step "B has checked" awaits b-has-checked

  # A planned move back.
  rm -f "$SCRATCH/enough"
  gateway_kill9
  times_logged 'is open as epoch'; opened=$REPLY
  step "gateway started anew; it stands by" started_anew
  note a-stands-by
  step "B has stopped" awaits b-has-stopped
  now_us; from=$REPLY
  step "serves again" wait_for 60 opened_again "$opened"
  since_ms "$from"; say "      $REPLY ms after B's release"
  note a-is-back "$REPLY"
  step "logged in anew" login_anew
  check "records 1 to 40 are A's" records_are a 1 40 || true
  check "records 41 to 60 are B's" records_are b 41 60 || true

  # Dies with flushed writes that the bucket lacks.
  step "B stands by again" awaits b-stands-by-again
  (write_records 61 5000 || true) & writer=$!
  pause 8
  gateway_kill9
  last_acked; say "      killed after record $REPLY"
  note a-was-killed "$REPLY"
  step "B was told to take over" awaits b-was-forced 400
  step "gateway started anew" gateway_start
  note a-has-restarted
  step "B has stopped for good" awaits b-has-stopped-for-good
  check "its journal of the overtaken line is kept aside, not replayed" wait_for 60 log_says 'was served elsewhere since journal' || true
  touch "$SCRATCH/enough"
  wait "$writer" || true
  note a-has-ended "$checks_failed"
else
  step "A serves" awaits a-serves
  step "the same volume exported" volume_attach $size 4096
  sense; standby=$REPLY
  check "a path in standby: $standby" test "${standby/tandby/}" != "$standby" || true
  say "      its log: $(grep 'is not opened yet' "$GATEWAY_LOG" | tail -n 1)"
  note b-stands-by

  step "A was stopped" awaits a-stopped
  last=$REPLY
  now_us; from=$REPLY
  step "takes over by itself" wait_for $((lease * 4)) opened_again 0
  since_ms "$from"; takeover=$REPLY
  say "      after $takeover ms, with a lease of $lease s"
  step "logged in anew" login_anew
  check "every record that A acknowledged is there (1 to $last)" records_are a 1 "$last" || true
  step "records 41 to 60 written" write_records 41 60
  note b-has-written
  step "A is fenced" awaits a-is-fenced
  fenced=$REPLY
  check "what B wrote is as B wrote it" records_are b 41 60 || true
  note b-has-checked

  step "A stands by" awaits a-stands-by
  now_us; from=$REPLY
  gateway_stop
  since_ms "$from"; stop=$REPLY
  note b-has-stopped
  step "A is back" awaits a-is-back
  back=$REPLY
  say "      stopped in $stop ms; A served $back ms later"
  step "gateway started anew; it stands by" started_anew
  note b-stands-by-again

  step "A was killed" awaits a-was-killed
  died=$REPLY
  step "refuses to leave flushed writes behind" wait_for $((lease * 4)) log_says 'Serving.104.*never reached the bucket'
  say "      $(grep -E 'Serving.104.*never reached the bucket' "$GATEWAY_LOG" | tail -n 1 | cut -c1-300)"
  sense; refused=$REPLY
  times_logged 'is open as epoch'; opened=$REPLY
  step "volume takeover refuses, too" takeover_refuses
  step "volume takeover --force" take_over --force
  step "serves" wait_for $((lease * 4)) opened_again "$opened"
  note b-was-forced
  step "logged in anew" login_anew
  check "the older records are there" records_are b 41 60 || true
  step "A has restarted" awaits a-has-restarted
  lio_teardown # While there is somebody to answer.
  gateway_stop
  note b-has-stopped-for-good
  step "A has ended" awaits a-has-ended
  failed_there=$REPLY
  ok=true
  [[ $checks_failed -eq 0 && $failed_there -eq 0 && $fenced -eq 40 ]] || ok=false
  printf '{"row": "two-gateways", "ok": %s, "longest_stall_s": %s, "errors": 0, "sense": "%s", "verified": %s}\n' "$ok" "$(awk -v t="$takeover" 'BEGIN { printf "%.1f", t / 1000 }')" \
    "standby: $standby; flushed writes would be left behind: $refused; A killed after record $died; planned move $back ms" "$ok" > "$OUT/fence.json"
fi
scenario_end
