#!/usr/bin/env bash
# powercut-write.sh: the first phase of ../powercut. Writes until the machine is killed; never ends by itself.
#
# Leaves in /out: set-a (checksums of files that are in the bucket), armed (from here on the power may be cut), and acked:
# a line "number checksum" for every file B<number> whose fsync has returned. A write to /out is on the host when it
# returns, so a line in acked is a promise that was given.
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

blobs=/dev/shm/blobs
number=0

scenario_start
rm -f "$OUT"/{armed,acked,set-a}
say "Writing until the power is cut"
step "configured" gateway_config "$STORE"
step "gateway started" gateway_start
step "volume created" volume_create 1GiB 4096
step "exported and logged in" volume_attach $((1 << 30)) 4096
step "file system made" mkfs.ext4 -q "$LIO_DISK"
step "mounted" mount "$LIO_DISK" "$MOUNT"

# 32 pieces of random content and length, 1 byte to 256 KiB.
mkdir -p "$blobs" "$MOUNT/a" "$MOUNT/b"
for ((i = 0; i < 32; i++)); do head -c $((RANDOM * 8 + RANDOM % 8 + 1)) /dev/urandom > "$blobs/$i"; done
mapfile -t sums < <(cd "$blobs" && for ((i = 0; i < 32; i++)); do echo $i; done | xargs sha256sum | cut -d' ' -f1)

for i in 0 1 2 3 4 5 6 7; do cat "$blobs"/* > "$MOUNT/a/$i"; echo $i >> "$MOUNT/a/$i"; done
sync -f "$MOUNT"
(cd "$MOUNT" && sha256sum a/*) > "$OUT/set-a"
step "set A is in the bucket" volume_settled 120

fio --name=background --directory="$MOUNT" --rw=randwrite --bs=4k --size=32M --ioengine=psync --fsync=16 --time_based \
  --runtime=100000 > "$OUT/fio-background.log" 2>&1 &
background=$!
touch "$OUT/armed"
say "  armed"
while process_alive "$background"; do
  number=$((number + 1))
  i=$((RANDOM % 32))
  dd if="$blobs/$i" of="$MOUNT/b/$number" bs=64k conv=fsync status=none || break
  echo "$number ${sums[i]}" >> "$OUT/acked"
done
say "  ✘ writing failed before the power was cut (file $number)"
tail -n 5 "$OUT/fio-background.log"
checks_failed=$((checks_failed + 1))
scenario_end
