#!/usr/bin/env bash
# targets.sh: declared backstores and exports come up in LIO from nothing, carry I/O, are repaired, and leave nothing.
# In the lab. Environment: see common.sh.
#
# Conditions are handed to check and wait_for as text, and their C in "A && B || C" only shows a log.
# shellcheck disable=SC2015,SC2016
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

INITIATOR=$LIO_IQN_PREFIX:initiator
SECRET=correct-horse-1
MUTUAL=battery-staple-2
DECLARED=$SCRATCH/targets.json
MIB=$((1 << 20))

volume_id() {
  [[ $("$GATEWAY" volume info "local/$1" --output json --config "$GATEWAY_CONFIG") =~ \"id\":[[:space:]]*\"([^\"]+)\" ]] && REPLY=${BASH_REMATCH[1]}
}

make_volumes() {
  local name
  backstores=''
  for name in v1 v2 v3 v4; do
    "$GATEWAY" volume create "local/$name" --size 64MiB --block-size 4096 --config "$GATEWAY_CONFIG" > /dev/null && volume_id "$name" || return 1
    backstores+="${backstores:+,}{ \"name\": \"$name\", \"config\": \"gateway/local/$name\", \"sizeBytes\": $((64 * MIB)), \"unitSerial\": \"$REPLY\" }"
  done
}

# declare_all [MORE]: one target with mutual CHAP and an ACL, one with two portals, one read-only, and a loopback LUN. PORT (3260): where; the next port is used, too.
declare_all() {
  local port=${PORT:-3260}
  cat > "$DECLARED" << JSON
{
  "backstores": [ $backstores ],
  "iscsiTargets": [
    { "iqn": "$LIO_IQN_PREFIX:chap", "portals": [{ "address": "127.0.0.1", "port": $port }],
      "luns": [{ "number": 0, "backstore": "v1" }],
      "initiators": [{ "initiator": "$INITIATOR",
        "chap": { "user": "host", "secret": "$SECRET", "mutualUser": "gateway", "mutualSecret": "$MUTUAL" } }] },
    { "iqn": "$LIO_IQN_PREFIX:two", "portals": [{ "address": "127.0.0.1", "port": $port }, { "address": "::1", "port": $((port + 1)) }],
      "luns": [{ "number": 0, "backstore": "v2" }] },
    { "iqn": "$LIO_IQN_PREFIX:readonly", "portals": [{ "address": "127.0.0.1", "port": $port }],
      "luns": [{ "number": 0, "backstore": "v3", "readOnly": true }] }
  ],
  "loopbackTargets": [{ "wwn": "naa.5001405000000001", "nexus": "naa.5001405000000002", "luns": [{ "number": 0, "backstore": "v4" }] }]
  ${1-}
}
JSON
}

apply() { "$GATEWAY" target apply "$DECLARED" > "$OUT/apply.log" 2>&1 || { cat "$OUT/apply.log"; return 1; }; }
dry_run() { "$GATEWAY" target apply "$DECLARED" --dry-run > "$OUT/plan.log" 2>&1 || { cat "$OUT/plan.log"; return 1; }; }
nothing_to_do() { dry_run && grep -qx 'Nothing to do.' "$OUT/plan.log" || { cat "$OUT/plan.log"; return 1; }; }
no_secret_shown() { ! grep -rlE "$SECRET|$MUTUAL" "$OUT/plan.log" "$OUT/apply.log" "$GATEWAY_LOG"; }
shows_plan() { dry_run && grep -q "mkdir $LIO/iscsi/$LIO_IQN_PREFIX:chap/tpgt_1" "$OUT/plan.log"; }

# Everything in configfs with all values that can be read, as text.
lio_dump() { (cd "$1" && find . ! -path '*/statistics/*' ! -path '*/fabric_statistics/*' ! -name dynamic_sessions -printf '%p %y %l\n' -type f -exec sh -c 'cat "$1" 2>/dev/null' _ {} \; | sort); }

settings=('node.conn[0].timeo.noop_out_interval=10' 'node.conn[0].timeo.noop_out_timeout=30' node.session.timeo.replacement_timeout=120 node.session.initial_login_retry_max=1 'node.conn[0].timeo.login_timeout=10')
admin() { timeout -k 5 60 iscsiadm "$@" >> "$OUT/iscsiadm.log" 2>&1; }
record() { admin -m node -T "$1" -p "$2" ${3:+-I "$3"} -o new; }
set_chap() { # IQN PORTAL SECRET
  local pair
  for pair in node.session.auth.authmethod=CHAP node.session.auth.username=host "node.session.auth.password=$3" \
    node.session.auth.username_in=gateway "node.session.auth.password_in=$MUTUAL"; do
    admin -m node -T "$1" -p "$2" -o update -n "${pair%%=*}" -v "${pair#*=}" || return 1
  done
}
login() { admin -m node -T "$1" -p "$2" ${3:+-I "$3"} --login || { tail -n 4 "$OUT/iscsiadm.log"; return 1; }; }
disk_of() { wait_for 30 iscsi_find_disk "$1" && REPLY=$LIO_DISK || { lio_fail "no disk of $1"; return 1; }; }

write_and_read() { # DISK
  dd if=/dev/urandom of="$SCRATCH/pattern" bs=1M count=4 status=none && dd if="$SCRATCH/pattern" of="$1" bs=1M oflag=direct status=none &&
    dd if="$1" bs=1M count=4 iflag=direct status=none | cmp - "$SCRATCH/pattern"
}
read_again() { dd if="$1" bs=1M count=4 iflag=direct status=none | cmp - "$SCRATCH/pattern"; }
# LIO refuses the writes; the daemon answers MODE SENSE, knows of no LUNs, and cannot tell of the protection.
write_refused() { dd if="$1" of=/dev/null bs=1M count=1 iflag=direct status=none && ! dd if=/dev/zero of="$1" bs=4096 count=1 oflag=direct status=none 2> /dev/null; }
discovered() { timeout -k 5 30 iscsiadm -m discovery -t sendtargets -p 127.0.0.1:3260 -I "${1-default}" > "$OUT/discovery.log" 2>&1; }
lists_own() { discovered && grep -q "$LIO_IQN_PREFIX:chap" "$OUT/discovery.log" && grep -q '\[.*1\]:3261' "$OUT/discovery.log" || { cat "$OUT/discovery.log"; return 1; }; }
hidden_from_strangers() { discovered stranger && ! grep -q "$LIO_IQN_PREFIX:chap" "$OUT/discovery.log" || { cat "$OUT/discovery.log"; return 1; }; }
targetcli_shows() { HOME=/root targetcli ls / > "$OUT/targetcli.log" 2>&1 && grep -q "$LIO_IQN_PREFIX:two" "$OUT/targetcli.log" && ! grep -qi traceback "$OUT/targetcli.log" || { cat "$OUT/targetcli.log"; return 1; }; }
targetcli_saves() { HOME=/root targetcli saveconfig "$OUT/saveconfig.json" > "$OUT/targetcli-save.log" 2>&1 && grep -q 'gateway/local/v1' "$OUT/saveconfig.json" || { cat "$OUT/targetcli-save.log"; return 1; }; }

damage() {
  local two=$LIO/iscsi/$LIO_IQN_PREFIX:two/tpgt_1 chap=$LIO/iscsi/$LIO_IQN_PREFIX:chap/tpgt_1
  lio_write "$chap/param/MaxBurstLength" 65536 && lio_write "$chap/attrib/demo_mode_discovery" 1 && printf by-hand-by-hand > "$chap/acls/$INITIATOR/auth/password" &&
    rm "$chap/acls/$INITIATOR/lun_0/"lun && rmdir "$chap/acls/$INITIATOR/lun_0" && mkdir "$chap/acls/iqn.1999-01.org.intruder:x" &&
    rmdir "$two/np/[::1]:3261" && mkdir "$two/np/127.0.0.9:3260" && lio_write "$two/enable" 0 && mkdir "$two/lun/lun_7"
}
# The mapped LUN comes back under the session; its disk may take a rescan.
rescan() { admin -m session --rescan; }

leftovers() { ! find "$LIO" -mindepth 1 \( -path '*user_*' -o -name 'tcmu-gateway~*' -o -name "$LIO_IQN_PREFIX:[crt]*" -o -path '*/loopback*' \) | grep .; }
foreign_untouched() { lio_dump "$LIO/iscsi/$LIO_IQN_PREFIX:foreign" | diff "$SCRATCH/foreign" -; }

# killed_when CONDITION...: an apply that dies (SIGKILL) as soon as the condition holds.
killed_when() {
  local process
  "$GATEWAY" target apply "$DECLARED" > /dev/null 2>&1 &
  process=$!
  WAIT_INTERVAL=0.001 wait_for 60 "$@" || { lio_fail "not reached: $*"; return 1; }
  kill -KILL "$process" 2>/dev/null || true
  wait_for 10 ! process_alive "$process"
  wait "$process" 2>/dev/null || true
}
# An apply that dies while a portal is made takes the port with it until a reboot (docs/targets.md), and how fast it dies nobody knows: each has ports of its own.
killed_while_making() {
  local path port=4260
  for path in "core/user_770000/v1" "core/user_770002" "iscsi/$chap/tpgt_1" "iscsi/$chap/tpgt_1/acls/$INITIATOR/lun_0" "iscsi/$readonly/tpgt_1" "loopback/naa.5001405000000001"; do
    PORT=$((port += 10)) declare_all
    killed_when test -d "$LIO/$path" || return 1
  done
  declare_all
}
gone() { [[ ! -e $1 ]]; }
killed_while_removing() { killed_when gone "$LIO/iscsi/$chap/tpgt_1/acls/$INITIATOR" && killed_when gone "$LIO/iscsi/$two/tpgt_1/lun/lun_0"; }

# targetcli asks the system bus for tcmu-runner's handlers, and the bus would start it: a second daemon that answers the kernel.
bus_start() { rm -f /usr/share/dbus-1/system-services/org.kernel.TCMUService1.service && mkdir -p /run/dbus && dbus-daemon --system --fork --print-pid > "$SCRATCH/bus.pid" && lio_note process "$(< "$SCRATCH/bus.pid")"; }

chap=$LIO_IQN_PREFIX:chap two=$LIO_IQN_PREFIX:two readonly=$LIO_IQN_PREFIX:readonly
scenario_start
say "1. Declared, with something of somebody else's in LIO already"
step "configuration written" gateway_config local
step "gateway started" gateway_start
step "four volumes of 64 MiB" make_volumes
truncate -s 16M "$SCRATCH/foreign.img"
LIO_PORTAL=127.0.0.1:3270
step "somebody else's target on a file" eval 'lio_fileio_backstore foreign "$SCRATCH/foreign.img" $((16 * MIB)) && lio_iscsi_export foreign'
LIO_PORTAL=127.0.0.1:3260 LIO_BACKSTORE=''
lio_dump "$LIO/iscsi/$LIO_IQN_PREFIX:foreign" > "$SCRATCH/foreign"
declare_all
check "the plan is shown, and does nothing" shows_plan || true
step "six applies, killed on the way" killed_while_making
step "applied" apply
cp "$OUT/apply.log" "$OUT/apply-first.log"
check "a second time there is nothing to do" nothing_to_do || true
bus_start
check "targetcli shows it" targetcli_shows || true
check "targetcli saves it" targetcli_saves || true

say "2. Initiators"
step "iscsid started" iscsid_start
admin -m iface -I stranger -o new && admin -m iface -I stranger -o update -n iface.initiatorname -v "$LIO_IQN_PREFIX:stranger" && admin -m iface -I stranger -o update -n iface.transport_name -v tcp
check "discovery lists our targets, with the IPv6 portal" lists_own || true
check "a stranger's discovery does not list the target with an ACL" hidden_from_strangers || true
lio_note login "$chap" 127.0.0.1:3260; lio_note login "$two" '[::1]:3261'; lio_note login "$readonly" 127.0.0.1:3260
admin -m node -o delete || true
record "$chap" 127.0.0.1:3260; set_chap "$chap" 127.0.0.1:3260 wrong-secret-99
check "a wrong CHAP secret is refused" eval '! login "$chap" 127.0.0.1:3260' || true
check "no CHAP is refused" eval 'admin -m node -T "$chap" -p 127.0.0.1:3260 -o update -n node.session.auth.authmethod -v None; ! login "$chap" 127.0.0.1:3260' || true
admin -m node -T "$chap" -p 127.0.0.1:3260 -o delete
record "$chap" 127.0.0.1:3260 stranger; set_chap "$chap" 127.0.0.1:3260 "$SECRET"
check "a foreign initiator is refused, secret or not" eval '! login "$chap" 127.0.0.1:3260 stranger' || true
admin -m node -T "$chap" -p 127.0.0.1:3260 -o delete
record "$chap" 127.0.0.1:3260; set_chap "$chap" 127.0.0.1:3260 "$SECRET"
step "mutual CHAP logs in" login "$chap" 127.0.0.1:3260
record "$two" '[::1]:3261'
step "IPv6 logs in" login "$two" '[::1]:3261'
record "$readonly" 127.0.0.1:3260
step "the read-only target logs in" login "$readonly" 127.0.0.1:3260
disk_of "$chap"; chap_disk=$REPLY
disk_of "$two"; two_disk=$REPLY
disk_of "$readonly"; readonly_disk=$REPLY
address=$(< "$LIO/loopback/naa.5001405000000001/tpgt_1/address")
step "the loopback LUN is a disk" wait_for 20 loop_find_disk "$address"
loop_disk=$LIO_DISK
for disk in "$two_disk" "$loop_disk" "$chap_disk"; do check "$disk writes and reads back" write_and_read "$disk" || true; done
check "the read-only disk reads, and refuses to be written" write_refused "$readonly_disk" || true
volume_id v1; serial=$REPLY
check "the disk reports the volume's id as its serial number" lio_reports_serial "$chap_disk" "$serial" || true

say "3. Damage by hand"
step "damage done" damage
check "the plan finds it" eval '! nothing_to_do > /dev/null' || true
step "applied" apply
check "there is nothing to do" nothing_to_do || true
rescan || true
check "the disk with CHAP reads back" eval 'wait_for 30 read_again "$chap_disk" 2> /dev/null' || true

say "4. The gateway is killed"
step "killed (SIGKILL)" gateway_kill9
step "started again" gateway_start
check "there is nothing to do" nothing_to_do || true
check "the disk reads back" read_again "$chap_disk" || true

say "5. Discovery with credentials"
declare_all ', "discoveryAuth": { "user": "finder", "secret": "discover-me-please" }'
step "applied" apply
check "discovery without them is refused" eval '! discovered' || true
declare_all
step "taken back" apply
check "discovery works again" discovered || true

say "6. Nothing declared"
echo '{}' > "$DECLARED"
step "two applies with sessions still logged in, killed on the way" killed_while_removing
step "applied" apply
check "nothing of ours is left in configfs" leftovers || true
check "somebody else's target is untouched" foreign_untouched || true
check "no secret was shown" no_secret_shown || true
check "the kernel has no complaint" eval '! kernel_log | grep -E "BUG:|Oops|blocked for more than|Call Trace|WARNING:"' || true
for iqn in "$chap" "$two" "$readonly"; do admin -m node -T "$iqn" --logout || true; done
scenario_end
