# shellcheck shell=bash
# common.sh, to be sourced: what the scenarios share: a gateway under test, its volume as a disk, and a story with checks.
#
#   GATEWAY            the gateway's executable (required, unless SCENARIO_HOOKS replaces it)
#   STORE              local (default: a folder, BUCKET_PATH) or s3 (S3_ENDPOINT, S3_BUCKET, S3_PREFIX, and the
#                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment)
#   VOLUME             the volume's name (lab)
#   SCENARIO_HOOKS     a file, sourced last, that may replace any function here: see stand-in.sh
#   OUT, SCRATCH       /out and /scratch of the lab; on a real host (DEMO_HOST=1) temporary folders
#
# A scenario sources this, calls scenario_start, then its steps, then scenario_end.

scenarios=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=tests/lab/lio.sh
. "$scenarios/../lio.sh"

STORE=${STORE:-local}
VOLUME=${VOLUME:-lab}
SCRATCH=${SCRATCH:-/scratch}
OUT=${OUT:-/out}
BUCKET_PATH=${BUCKET_PATH:-$SCRATCH/bucket}
MOUNT=${MOUNT:-$SCRATCH/mnt}
GATEWAY_LOG=$OUT/gateway.log
gateway_pid=''
checks_failed=0
kernel_lines=0
scratch_is_temporary=${scratch_is_temporary-} # Set by a scenario that made SCRATCH itself.

# --- The story ------------------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }

# check TEXT COMMAND...: runs COMMAND, prints a check mark or a cross with TEXT, and counts. Its output is shown on failure.
check() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf '  \u2714 %s\n' "$text"
  else
    printf '  \u2718 %s\n' "$text"
    [[ -z $output ]] || tail -n 15 <<< "$output" | sed 's/^/      /'
    checks_failed=$((checks_failed + 1))
    return 1
  fi
}

# step TEXT COMMAND...: as check, but what follows makes no sense without it: ends the scenario. Runs in this shell.
step() {
  local text=$1
  shift
  if "$@"; then
    printf '  \u2714 %s\n' "$text"
  else
    printf '  \u2718 %s\n' "$text"
    checks_failed=$((checks_failed + 1))
    scenario_end
  fi
}

scenario_start() {
  kernel_lines=$(dmesg | wc -l)
  mkdir -p "$OUT" "$SCRATCH" "$MOUNT"
  trap 'say "  (interrupted)"; checks_failed=99; scenario_clean_up; exit 1' INT TERM
  trap 'scenario_clean_up' EXIT
}

scenario_clean_up() {
  trap - EXIT
  umount "$MOUNT" 2>/dev/null || ! mountpoint -q "$MOUNT" || umount -l "$MOUNT" || true
  lio_teardown || true
  gateway_stop || true
}

# Ends the scenario: 0 only if every check held.
scenario_end() {
  scenario_clean_up
  if [[ $checks_failed -eq 0 ]]; then
    [[ -z ${scratch_is_temporary-} ]] || rm -rf --one-file-system "$SCRATCH"
    exit 0
  fi
  say "$checks_failed check(s) failed."
  if [[ -s $GATEWAY_LOG ]]; then
    say "End of the gateway's log ($GATEWAY_LOG):"
    tail -n 20 "$GATEWAY_LOG"
  fi
  exit 1
}

# New kernel messages that must not be there.
kernel_log() { dmesg | tail -n "+$((kernel_lines + 1))"; }
check_kernel_log() {
  ! kernel_log | grep -E 'BROKEN|BUG:|Oops|blocked for more than|Call Trace|WARNING:|(tcmu|TCMU|target_core_user).*ring|I/O error|EXT4-fs error|JBD2: .*rror|Medium Error|Hardware Error|rejecting I/O|Abort'
}

# --- The gateway ------------------------------------------------------------------------------------------------------------

gateway_config() {
  local store
  case $1 in
    local)
      mkdir -p "$BUCKET_PATH"
      store="\"local\": { \"type\": \"file\", \"path\": \"$BUCKET_PATH\" }"
      ;;
    s3)
      store="\"s3\": { \"type\": \"s3\", \"endpoint\": \"${S3_ENDPOINT:-http://10.0.2.100:7480}\", \"bucket\": \"${S3_BUCKET:-demo}\","
      store+=" \"region\": \"${S3_REGION:-us-east-1}\", \"prefix\": \"${S3_PREFIX-}\" }"
      ;;
    *) lio_fail "STORE is local or s3, not '$1'"; return 1 ;;
  esac
  GATEWAY_CONFIG=$SCRATCH/gateway.json
  mkdir -p "$SCRATCH/journal"
  # VOLUME_SETTINGS: more of "volumes", each with a comma before it. TELEMETRY_LISTEN: where metrics and health are served.
  cat > "$GATEWAY_CONFIG" << JSON
{
  "stores": { $store },
  "journal": { "directory": "$SCRATCH/journal", "capacityBytes": ${JOURNAL_BYTES:-268435456} },
  "volumes": { "sealAfterSeconds": ${SEAL_AFTER_SECONDS:-2}, "leaseSeconds": ${LEASE_SECONDS:-30}${VOLUME_SETTINGS-} },
  "telemetry": { "listen": "${TELEMETRY_LISTEN:-127.0.0.1:9464}" }
}
JSON
}

# The file holds the process id of the gateway that is ready; it may be one of an earlier gateway.
gateway_is_ready() { local ready=''; { read -r ready < "$LIO_STATE/ready"; } 2> /dev/null; [[ $ready == "$gateway_pid" ]]; }
gateway_ready_or_dead() { gateway_is_ready || ! process_alive "$gateway_pid"; }

# Starts the gateway in a session of its own and waits until it serves every device that exists.
gateway_start() {
  [[ -x ${GATEWAY-} ]] || { lio_fail "GATEWAY is not an executable file: '${GATEWAY-}'"; return 1; }
  # Without a process more than it takes: in emulation each costs tens of milliseconds, and initiators wait.
  [[ -d $LIO_STATE ]] || mkdir -p "$LIO_STATE"
  setsid "$GATEWAY" serve --config "$GATEWAY_CONFIG" --ready-file "$LIO_STATE/ready" >> "$GATEWAY_LOG" 2>&1 < /dev/null &
  gateway_pid=$!
  WAIT_INTERVAL=0.02 wait_for "${GATEWAY_START_SECONDS:-60}" gateway_ready_or_dead ||
    { lio_fail "the gateway is not ready after ${GATEWAY_START_SECONDS:-60} s"; return 1; }
  gateway_is_ready || { lio_fail "the gateway ended at start: $(tail -n 3 "$GATEWAY_LOG")"; return 1; }
}

gateway_kill9() {
  kill -KILL "$gateway_pid" && WAIT_INTERVAL=0.02 wait_for 10 ! process_alive "$gateway_pid"
  wait "$gateway_pid" 2>/dev/null || true
}

gateway_stop() {
  [[ -n $gateway_pid ]] || return 0
  kill -TERM "$gateway_pid" 2>/dev/null || true
  wait_for 30 ! process_alive "$gateway_pid" || { lio_fail "the gateway does not stop; killing it"; kill -KILL "$gateway_pid"; }
  wait "$gateway_pid" 2>/dev/null || true
  gateway_pid=''
}

# volume_create SIZE BLOCK_BYTES, with SIZE as the gateway writes it ("1GiB").
volume_create() {
  "$GATEWAY" volume create "$STORE/$VOLUME" --size "$1" --block-size "$2" --config "$GATEWAY_CONFIG" > /dev/null
}

# volume_number FIELD: a number of "volume info", in REPLY.
volume_number() {
  local json
  json=$("$GATEWAY" volume info "$STORE/$VOLUME" --output json --config "$GATEWAY_CONFIG") || return 1
  [[ $json =~ \"$1\"[[:space:]]*:[[:space:]]*([0-9]+) ]] || { lio_fail "volume info says no $1: $json"; return 1; }
  REPLY=${BASH_REMATCH[1]}
}

# volume_settled SECONDS: waits until the last write number in the bucket has stood still for three times the time after
# which the gateway seals a segment: all that was written is then in the bucket.
volume_settled() {
  local last='' since end
  now_us; end=$((REPLY + $1 * 1000000)); since=$REPLY
  while :; do
    volume_number lastWriteNumber || return 1
    if [[ $REPLY != "$last" ]]; then last=$REPLY; now_us; since=$REPLY; fi
    now_us
    [[ $last -eq 0 ]] || ((REPLY < since + ${SEAL_AFTER_SECONDS:-2} * 3000000)) || return 0
    ((REPLY < end)) || { lio_fail "the bucket still gets writes after $1 s (last write $last)"; return 1; }
    pause 0.5
  done
}

# The volume as a TCMU backstore. SIZE_BYTES BLOCK_BYTES.
volume_backstore() { lio_backstore "$VOLUME" "gateway/$STORE/$VOLUME" "$1" "$2"; }

# volume_attach SIZE_BYTES BLOCK_BYTES: backstore, iSCSI export, login; the disk is in LIO_DISK.
volume_attach() { volume_backstore "$1" "$2" && lio_iscsi_export "$VOLUME" && iscsi_login; }

# What is in the bucket, one line a kind of blob.
bucket_summary() {
  if [[ $STORE == local ]]; then
    (cd "$BUCKET_PATH" && find . -type f ! -name '.*' -printf '%P %s\n') |
      awk '{ n = split($1, p, "/"); k = n > 1 ? p[n - 1] "/" : $1; c[k]++; b[k] += $2 }
        END { for (k in c) printf "    %-14s %5d blobs %9.1f MiB\n", k, c[k], b[k] / 1048576 }' | sort
  fi
  volume_number segments && say "    segments $REPLY" && volume_number bucketBytes && say "    bytes in the bucket $REPLY"
}

# fio_run NAME OPTION...: I/O on the disk, FIO_MIB (128) MiB of it, with checksums that are verified; the results are in $OUT/fio-NAME.json and .log.
fio_run() {
  local name=$1
  shift
  fio --name="$name" --filename="$LIO_DISK" --direct=1 --ioengine=libaio --size="${FIO_MIB:-128}M" --verify=crc32c \
    --verify_interval=4096 --verify_fatal=1 --verify_state_save=0 --verify_dump=0 --thread --gtod_reduce=0 \
    --output-format=json --output="$OUT/fio-$name.json" "$@" > "$OUT/fio-$name.log" 2>&1
}

# Longest completion time in fio's results, ms.
fio_longest_ms() {
  awk '/"clat_ns"/ { inside = 1 } inside && /"max"/ { gsub(/[^0-9]/, "", $3); if ($3 + 0 > m) m = $3 + 0; inside = 0 }
    END { printf "%d", m / 1000000 }' "$@"
}

filesystem_clean() { e2fsck -fn "$LIO_DISK"; }

# shellcheck disable=SC1090
[[ -z ${SCENARIO_HOOKS-} ]] || . "$SCENARIO_HOOKS"
