#!/usr/bin/env bash
# operate.sh first|second: the daemon makes what its configuration file declares, and keeps it. See tests/lab/operate.
# In the lab. Environment: see common.sh; STORES, CEPH_DIR, CEPH_PORTS.
#
# Conditions are handed to check and wait_for as text.
# shellcheck disable=SC2016
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

boot=$1
read -ra stores <<< "${STORES:-local s3 grpc rados}"
INITIATOR=$LIO_IQN_PREFIX:initiator
SECRET=correct-horse-1
MUTUAL=battery-staple-2
MIB=$((1 << 20))
GATEWAY_CONFIG=$SCRATCH/gateway.json
STATE=$SCRATCH/state
chap=$LIO_IQN_PREFIX:chap two=$LIO_IQN_PREFIX:two readonly=$LIO_IQN_PREFIX:readonly by_hand=$LIO_IQN_PREFIX:by-hand
loop_group=$LIO/loopback/naa.5001405000000001/tpgt_1

# The volumes by what they are exported as; each in another kind of store where there are enough.
volume() { echo "${stores[$(($1 % ${#stores[@]}))]}/$2"; }
v_chap=$(volume 0 chap) v_two=$(volume 1 two) v_readonly=$(volume 2 readonly) v_loop=$(volume 3 loop) v_hand=$(volume 1 by-hand) v_more=$(volume 2 more)

store_sections() {
  cat << JSON
    "local": { "type": "file", "path": "$BUCKET_PATH" },
    "s3": { "type": "s3", "endpoint": "http://10.0.2.100:7480", "bucket": "operate", "region": "us-east-1" },
    "grpc": { "type": "grpc", "address": "http://10.0.2.100:7490" }$(if [[ " ${stores[*]} " == *" rados "* ]]; then
    echo ','; echo "    \"rados\": { \"type\": \"rados\", \"configurationFile\": \"$CEPH_DIR/ceph.conf\", \"keyringFile\": \"$CEPH_DIR/keyring\", \"pool\": \"rbd\", \"namespace\": \"operate\" }"; fi)
JSON
}

target_sections() { # CHAP_SIZE [MORE LUNS OF TWO [MORE VOLUMES]]
  cat << JSON
  "volumes": { "leaseSeconds": 30, "sealAfterSeconds": 2, "each": {
    "$v_chap": { "size": "$1", "blockSize": 4096 },
    "$v_two": { "size": "64MiB" },
    "$v_readonly": { "size": "64MiB", "compression": "zstd" },
    "$v_loop": { "size": "64MiB", "blockSize": 4096 }${3-}
  } },
  "targets": {
    "iscsi": {
      // Mutual CHAP, for one initiator.
      "$chap": { "portals": ["127.0.0.1"], "luns": [{ "volume": "$v_chap" }], "initiators": { "$INITIATOR": {
        "chap": { "user": "host", "secretFile": "$SCRATCH/secret" }, "mutualChap": { "user": "gateway", "secretFile": "$SCRATCH/mutual" } } } },
      "$two": { "portals": ["127.0.0.1:3260", "[::1]:3261"], "luns": [{ "volume": "$v_two" }${2-}] },
      "$readonly": { "portals": ["127.0.0.1"], "luns": [{ "volume": "$v_readonly", "readOnly": true }] },
    },
    "loopback": { "naa.5001405000000001": { "luns": [{ "volume": "$v_loop" }] } },
  },
JSON
}

# write_config [TEXT]: in one step, as an editor does.
write_config() {
  cat > "$GATEWAY_CONFIG.new" << JSON
{
  "stores": {
$(store_sections)
  },
  "stateDirectory": "$STATE",
  "journal": { "directory": "$SCRATCH/journal", "capacityBytes": 134217728 },
  "control": { "socket": "$LIO_STATE/control.sock" },
${1-}
}
JSON
  mv "$GATEWAY_CONFIG.new" "$GATEWAY_CONFIG"
}

ctl() { "$GATEWAY" "$@" --config "$GATEWAY_CONFIG"; }
faultless() { ctl target list > "$OUT/targets.txt" 2>&1 && ctl target list --output json 2>&1 | grep -q '"faults": \[ *\]'; }
enabled() { [[ -e $LIO/iscsi/$1/tpgt_1/enable && $(< "$LIO/iscsi/$1/tpgt_1/enable") == 1 ]]; }
all_up() { enabled "$chap" && enabled "$two" && enabled "$readonly" && [[ -d $loop_group/lun/lun_0 ]] && faultless; }
comes_up() { wait_for "${1:-90}" all_up || { cat "$OUT/targets.txt"; return 1; }; }
saved() { [[ -n $(compgen -G "$LIO/core/user_*/*/info") ]]; }

settings=('node.conn[0].timeo.noop_out_interval=10' 'node.conn[0].timeo.noop_out_timeout=30' node.session.timeo.replacement_timeout=120 node.session.initial_login_retry_max=1 'node.conn[0].timeo.login_timeout=10')
admin() { timeout -k 5 60 iscsiadm "$@" >> "$OUT/iscsiadm.log" 2>&1; }
record() { admin -m node -T "$1" -p "$2" ${3:+-I "$3"} -o new; }
set_chap() { # IQN PORTAL SECRET
  local pair
  for pair in node.session.auth.authmethod=CHAP node.session.auth.username=host "node.session.auth.password=$3" node.session.auth.username_in=gateway "node.session.auth.password_in=$MUTUAL"; do
    admin -m node -T "$1" -p "$2" -o update -n "${pair%%=*}" -v "${pair#*=}" || return 1
  done
}
login() { admin -m node -T "$1" -p "$2" ${3:+-I "$3"} --login || { tail -n 4 "$OUT/iscsiadm.log"; return 1; }; }
login_all() {
  lio_note login "$chap" 127.0.0.1:3260; lio_note login "$two" '[::1]:3261'; lio_note login "$readonly" 127.0.0.1:3260
  record "$chap" 127.0.0.1:3260 && set_chap "$chap" 127.0.0.1:3260 "$SECRET" && record "$two" '[::1]:3261' && record "$readonly" 127.0.0.1:3260 &&
    login "$chap" 127.0.0.1:3260 && login "$two" '[::1]:3261' && login "$readonly" 127.0.0.1:3260
}
logout_all() { local iqn; for iqn in "$chap" "$two" "$readonly" "$by_hand"; do admin -m node -T "$iqn" --logout || true; done; }
find_disks() {
  wait_for 30 iscsi_find_disk "$chap" && chap_disk=$LIO_DISK && wait_for 30 iscsi_find_disk "$two" && two_disk=$LIO_DISK &&
    wait_for 30 iscsi_find_disk "$readonly" && readonly_disk=$LIO_DISK && wait_for 30 loop_find_disk "$(< "$loop_group/address")" && loop_disk=$LIO_DISK
}

pattern() { echo "$SCRATCH/pattern-$1"; }
write_pattern() { # NAME DISK
  dd if=/dev/urandom of="$(pattern "$1")" bs=1M count=8 status=none && sync "$(pattern "$1")" && dd if="$(pattern "$1")" of="$2" bs=256K oflag=direct conv=fsync status=none
}
reads_back() { dd if="$2" bs=256K count=32 iflag=direct status=none | cmp - "$(pattern "$1")"; }
write_all() { write_pattern chap "$chap_disk" && write_pattern two "$two_disk" && write_pattern loop "$loop_disk"; }
all_read_back() { reads_back chap "$chap_disk" && reads_back two "$two_disk" && reads_back loop "$loop_disk"; }
write_refused() { dd if="$1" of=/dev/null bs=1M count=1 iflag=direct status=none && ! dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct status=none 2> /dev/null; }

damage() {
  local chap_group=$LIO/iscsi/$chap/tpgt_1 two_group=$LIO/iscsi/$two/tpgt_1
  lio_write "$chap_group/param/MaxBurstLength" 65536 && printf by-hand-by-hand > "$chap_group/acls/$INITIATOR/auth/password" &&
    mkdir "$chap_group/acls/iqn.1999-01.org.intruder:x" && mkdir "$two_group/np/127.0.0.9:3260" && lio_write "$two_group/enable" 0 && mkdir "$two_group/lun/lun_7"
}
repaired() {
  local chap_group=$LIO/iscsi/$chap/tpgt_1 two_group=$LIO/iscsi/$two/tpgt_1
  [[ $(< "$chap_group/param/MaxBurstLength") != 65536* && $(< "$chap_group/acls/$INITIATOR/auth/password") == "$SECRET" && ! -e $chap_group/acls/iqn.1999-01.org.intruder:x &&
    ! -e $two_group/np/127.0.0.9:3260 && ! -e $two_group/lun/lun_7 ]] && enabled "$two"
}

sectors() { [[ $(< "/sys/block/${1##*/}/size") -eq $(($2 / 512)) ]]; }
grows_to() { echo 1 > "/sys/block/${1##*/}/device/rescan"; wait_for 30 sectors "$1" "$2"; }
writers_end() { local writer; for writer in "${writers[@]}"; do wait "$writer" || return 1; done; }
capacity_changed() { reads_back chap "$chap_disk" && kernel_log | grep -q 'Capacity data has changed'; }
second_lun() { [[ -n $(compgen -G '/sys/class/iscsi_session/session*/device/target*/*:1/block/*') ]]; }
exported_by_hand() { # The screen tells how to log in; what it says is done.
  ctl target export "$v_hand" --portal 127.0.0.1:3262 --target "$by_hand" > "$OUT/export.txt" 2>&1 || { cat "$OUT/export.txt"; return 1; }
  lio_note login "$by_hand" 127.0.0.1:3262
  grep -E '^ *iscsiadm ' "$OUT/export.txt" > "$SCRATCH/login" && bash -e "$SCRATCH/login" >> "$OUT/iscsiadm.log" 2>&1 && wait_for 30 iscsi_find_disk "$by_hand"
}
ours_in_lio() { find "$LIO" -mindepth 1 \( -path '*user_*' -o -name 'tcmu-gateway~*' -o -name "$LIO_IQN_PREFIX:*" -o -path '*/loopback/naa*' \) | grep .; }
no_leftovers() { ! ours_in_lio; }
no_secret_shown() { ! grep -rlE "$SECRET|$MUTUAL" "$OUT" "$STATE/exports.json"; }
kernel_content() { ! kernel_log | grep -E 'BUG:|Oops|blocked for more than|Call Trace|WARNING:'; }
tunnels() {
  local port
  for port in ${CEPH_PORTS-}; do
    setsid socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "TCP:10.0.2.100:$port" > /dev/null 2>&1 < /dev/null & lio_note process $!
  done
}

scenario_start
tunnels
if [[ $boot == first ]]; then
  say "1. One file, from nothing: $v_chap, $v_two, $v_readonly, $v_loop"
  mkdir -p "$BUCKET_PATH" "$SCRATCH/journal"
  (umask 077; echo "$SECRET" > "$SCRATCH/secret"; echo "$MUTUAL" > "$SCRATCH/mutual")
  write_config "$(target_sections 64MiB)"
  check "the file is sound" ctl config check || true
  step "gateway started" gateway_start
  check "everything is there, without a fault" comes_up || true
  ctl target list > "$OUT/targets.txt"
  step "iscsid started" iscsid_start
  admin -m iface -I stranger -o new && admin -m iface -I stranger -o update -n iface.initiatorname -v "$LIO_IQN_PREFIX:stranger" && admin -m iface -I stranger -o update -n iface.transport_name -v tcp
  record "$chap" 127.0.0.1:3260; set_chap "$chap" 127.0.0.1:3260 wrong-secret-99
  check "a wrong CHAP secret is refused" eval '! login "$chap" 127.0.0.1:3260' || true
  admin -m node -T "$chap" -p 127.0.0.1:3260 -o delete
  record "$chap" 127.0.0.1:3260 stranger; set_chap "$chap" 127.0.0.1:3260 "$SECRET"
  check "a foreign initiator is refused, secret or not" eval '! login "$chap" 127.0.0.1:3260 stranger' || true
  admin -m node -T "$chap" -p 127.0.0.1:3260 -o delete
  step "logged in: mutual CHAP, IPv6, read-only" login_all
  step "four disks" find_disks
  step "written" write_all
  check "read back" all_read_back || true
  check "the read-only disk reads, and refuses to be written" write_refused "$readonly_disk" || true

  say "2. Killed while the disks are written"
  writers=()
  for disk in "$chap_disk" "$loop_disk"; do dd if=/dev/zero of="$disk" bs=64K seek=256 count=256 oflag=direct status=none & writers+=($!); done
  step "killed (SIGKILL)" gateway_kill9
  step "started again" gateway_start
  step "no write failed" writers_end
  check "nothing that was written is lost" all_read_back || true
  check "everything is there, without a fault" comes_up || true

  say "3. Damaged by hand"
  step "a parameter, a secret, an ACL, a portal, a LUN, a switched-off target" damage
  check "repaired by itself" wait_for 90 repaired || true
  check "the disks read back" wait_for 60 all_read_back || true

  say "4. A changed file"
  write_config "$(target_sections 96MiB ", { \"volume\": \"$v_more\" }" ", \"$v_more\": { \"size\": \"32MiB\" }")"
  check "the volume that is declared larger has grown, and its initiator was told" wait_for 60 capacity_changed || true
  check "the disk has its new size" grows_to "$chap_disk" $((96 * MIB)) || true
  check "the file's new LUN is there" wait_for 60 test -d "$LIO/iscsi/$two/tpgt_1/lun/lun_1" || true
  admin -m session --rescan || true
  check "and a disk" wait_for 30 second_lun || true
  cp "$GATEWAY_CONFIG" "$SCRATCH/good.json"
  echo '{ "stores": {}, "tragets": 1' > "$GATEWAY_CONFIG"
  check "a broken file is refused with its place" eval '! ctl config check 2>&1 | tee "$OUT/broken.txt" && grep -q "gateway.json" "$OUT/broken.txt"' || true
  step "while the gateway goes on" eval 'wait_for 20 grep -q "gateway.json" "$GATEWAY_LOG" && reads_back chap "$chap_disk"'
  mv "$SCRATCH/good.json" "$GATEWAY_CONFIG"

  say "5. By command"
  check "a volume is made" ctl volume create "$v_hand" --size 32MiB || true
  check "exported, and logged in with the commands on the screen" exported_by_hand || true
  iscsi_find_disk "$by_hand" && hand_disk=$LIO_DISK
  check "written and read back" eval 'write_pattern by-hand "$hand_disk" && reads_back by-hand "$hand_disk"' || true
  check "grown online by 'volume resize'" eval 'ctl volume resize "$v_hand" 48MiB > "$OUT/resize.txt" && grep -q "told its initiators" "$OUT/resize.txt" && grows_to "$hand_disk" $((48 * MIB))' || { cat "$OUT/resize.txt"; true; }
  check "status" eval 'ctl status > "$OUT/status.txt" && grep -q "$v_loop" "$OUT/status.txt"' || true
  check "top" eval 'ctl top --count 2 > "$OUT/top.txt" && grep -q "$v_loop" "$OUT/top.txt"' || true
  check "events" eval 'ctl events > "$OUT/events.txt" && grep -q "was read again" "$OUT/events.txt"' || true
  check "no secret was shown" no_secret_shown || true
  check "the kernel has no complaint" kernel_content || true
  [[ $checks_failed -eq 0 ]] || scenario_end
  say "   (the guest goes down with the gateway at work and all initiators logged in)"
  trap - EXIT
  exit 0
fi

say "6. After a reboot"
rm -rf "$LIO_STATE"; tunnels
check "nothing is in LIO" no_leftovers || true
step "gateway started" gateway_start
check "everything is there again, without a fault" comes_up 120 || true
check "also what was exported by command" enabled "$by_hand" || true
step "iscsid started" iscsid_start
step "logged in" login_all
lio_note login "$by_hand" 127.0.0.1:3262
step "and to what was exported by command" eval 'record "$by_hand" 127.0.0.1:3262 && login "$by_hand" 127.0.0.1:3262 && wait_for 30 iscsi_find_disk "$by_hand"'
hand_disk=$LIO_DISK
step "four disks" find_disks
check "they read back" all_read_back || true
check "and the one that was exported by command" reads_back by-hand "$hand_disk" || true

say "7. Taken away"
check "unexported" eval 'admin -m node -T "$by_hand" --logout; ctl target unexport "$v_hand" --yes' || true
check "it is gone" test ! -e "$LIO/iscsi/$by_hand" || true
write_config ''
logout_all
check "with the emptied file nothing of ours is left in LIO" wait_for 90 no_leftovers || true
check "but every volume in its store" eval 'ctl volume list | tee "$OUT/volumes.txt" | grep -q "$v_loop"' || true
step "gateway stopped" gateway_stop
check "every volume is whole" eval 'for v in "$v_chap" "$v_two" "$v_readonly" "$v_loop" "$v_hand" "$v_more"; do ctl volume check "$v" > "$OUT/check.txt" || { cat "$OUT/check.txt"; exit 1; }; done' || true
check "no secret was shown" no_secret_shown || true
check "the kernel has no complaint" kernel_content || true
scenario_end
