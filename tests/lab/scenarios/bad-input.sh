#!/usr/bin/env bash
# bad-input.sh: what stands in the way of a volume at its device: a truncated segment or checkpoint, a foreign object, another volume's journal.
# Each time whoever enables the device is told, the log says what to do, nothing is lost, and with the cause removed all is there again.
# In the lab. Environment: see common.sh; the store is a folder.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

size=$((64 << 20))
sum_of_disk() { dd if="$LIO_DISK" bs=1M iflag=direct status=none | sha256sum; }
write_disk() { dd if=/dev/urandom of="$LIO_DISK" bs=1M count=24 oflag=direct conv=fsync status=none; }
detach() { iscsi_logout && lio_teardown; }

# refused NAME TEXT: enabling the device of volume NAME fails, and the gateway's log says TEXT.
refused() {
  local name=$1 text=$2 before
  before=$(wc -l < "$GATEWAY_LOG")
  if lio_backstore "$name" "gateway/$STORE/$name" "$size" 4096 2> /dev/null; then
    lio_fail "the device of $name was enabled"
    return 1
  fi
  lio_teardown
  tail -n "+$((before + 1))" "$GATEWAY_LOG" | grep -F -- "$text" > "$SCRATCH/said" || { lio_fail "the log does not say: $text"; tail -n "+$((before + 1))" "$GATEWAY_LOG"; return 1; }
  say "      $(sed 's/.*is not served: //' "$SCRATCH/said" | head -n 1)"
}
volume_id() { "$GATEWAY" volume info "$STORE/$1" --output json --config "$GATEWAY_CONFIG" | sed -n 's/.*"id": "\([^"]*\)".*/\1/p'; }

scenario_start
say "A volume with 24 MiB in it"
step "configured" gateway_config local
step "gateway started" gateway_start
step "volume created" volume_create 64MiB 4096
step "attached" volume_attach "$size" 4096
step "written" write_disk
sum=$(sum_of_disk)
step "detached" detach

say "A truncated segment"
segment=$(find "$BUCKET_PATH/$VOLUME/log" -type f | sort | tail -n 1)
cp "$segment" "$SCRATCH/segment"
truncate -s -100 "$segment"
named_by_check() { # An opening does not read what a checkpoint covers; a scrub does.
  local code=0
  "$GATEWAY" volume check "$STORE/$VOLUME" --config "$GATEWAY_CONFIG" > "$SCRATCH/said" 2>&1 || code=$?
  [[ $code -eq 3 ]] && grep -F "$(basename "$segment")" "$SCRATCH/said"
}
step "named by volume check" named_by_check
cp "$SCRATCH/segment" "$segment"
is_clean() { "$GATEWAY" volume check "$STORE/$VOLUME" --config "$GATEWAY_CONFIG" > "$SCRATCH/said" 2>&1; }
step "clean with the segment restored" is_clean

say "A truncated checkpoint"
root=$(find "$BUCKET_PATH/$VOLUME/checkpoints" -type f | sort | tail -n 1)
cp "$root" "$SCRATCH/root"
truncate -s -10 "$root"
step "refused, and the log names it" refused "$VOLUME" "$(basename "$root")"
cp "$SCRATCH/root" "$root"

say "A foreign object under the prefix"
echo photo > "$BUCKET_PATH/$VOLUME/log/holiday.jpg"
step "refused, and the log names it" refused "$VOLUME" "holiday.jpg"
rm "$BUCKET_PATH/$VOLUME/log/holiday.jpg"

say "The journal of another volume"
step "a second volume created" "$GATEWAY" volume create "$STORE/second" --size 64MiB --block-size 4096 --config "$GATEWAY_CONFIG"
journal=$SCRATCH/journal/$(volume_id second).journal
cp "$SCRATCH/journal/$(volume_id "$VOLUME").journal" "$journal"
before=$(sha256sum < "$journal")
step "refused, and the log names it" refused second "belongs to another volume"
journal_unchanged() { [[ $(sha256sum < "$journal") == "$before" ]]; }
check "the journal is as it was" journal_unchanged || true

say "A volume that is not there, a size that is not its own"
step "refused, and the log names it" refused nowhere "There is no volume 'nowhere'"
size=$((96 << 20)) # A smaller one is of before a resize, and is served.
step "refused, and the log says which" refused "$VOLUME" "dev_size is $size"
size=$((64 << 20))

say "With the causes removed"
step "attached" volume_attach "$size" 4096
same_sum() { [[ $(sum_of_disk) == "$sum" ]]; }
check "every byte is there" same_sum || true
step "detached" detach
check "the kernel's log is clean" check_kernel_log || true
scenario_end
