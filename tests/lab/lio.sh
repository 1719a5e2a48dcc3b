# shellcheck shell=bash
# lio.sh, to be sourced: LIO backstores and exports through configfs, and the initiator's side of them.
#
# Made for the lab's guest, where nothing else uses LIO and there is neither udev nor systemd. With DEMO_HOST=1 the same
# functions work on a real host: a running iscsid is used instead of started, and its configuration is left alone.
#
# Whatever is made is noted in $LIO_STATE/made first, so that lio_teardown undoes all of it in reverse, nothing else, and
# may be called twice or from another process. Results come back in variables (LIO_BACKSTORE, LIO_DISK), so that nothing
# has to run in a subshell. Every function returns non-zero after one line on stderr that says what was wrong.

# shellcheck source=tests/lab/wait.sh
. "$(dirname "${BASH_SOURCE[0]}")/wait.sh"

LIO=${LIO:-/sys/kernel/config/target}
LIO_STATE=${LIO_STATE:-/run/tcmu-gateway-lab}
LIO_IQN_PREFIX=${LIO_IQN_PREFIX:-iqn.2025-01.org.tcmu-gateway.lab}
LIO_PORTAL=${LIO_PORTAL:-127.0.0.1:3260}

lio_fail() { echo "lio: $*" >&2; return 1; }
lio_note() { mkdir -p "$LIO_STATE" && printf '%s\t' "$@" >> "$LIO_STATE/made" && echo >> "$LIO_STATE/made"; }

# Makes a configfs directory and every missing one above it. A default group appears by itself and is not noted.
lio_mkdir() {
  [[ ! -d $1 ]] || return 0
  lio_mkdir "$(dirname "$1")" || return 1
  [[ ! -d $1 ]] || return 0
  lio_note dir "$1"
  mkdir "$1" || lio_fail "cannot make $1"
}

lio_link() { lio_note link "$2"; ln -s "$1" "$2" || lio_fail "cannot link $2 to $1"; }
lio_write() { { echo "$2" > "$1"; } 2>/dev/null || lio_fail "cannot write '$2' to $1"; }

# lio_load: what the functions below need of the kernel. The lab's guest has it loaded.
lio_load() {
  local module
  [[ -d $LIO/core && -d /sys/module/target_core_user ]] && return 0
  for module in configfs target_core_mod target_core_user target_core_file; do
    modprobe "$module" || { lio_fail "the kernel has no module $module"; return 1; }
  done
  [[ -d /sys/kernel/config/target ]] || mount -t configfs none /sys/kernel/config 2>/dev/null || [[ -d /sys/kernel/config ]]
  mkdir -p "$LIO"
}

# lio_serial NAME: the unit serial of a backstore, in $REPLY; always the same for one name, so that the disk can be
# recognised after a restart (and by EXTENDED COPY, which finds LUNs by it).
lio_serial() {
  REPLY=$(printf %s "$1" | sha256sum)
  REPLY=${REPLY:0:8}-${REPLY:8:4}-4${REPLY:13:3}-8${REPLY:17:3}-${REPLY:20:12}
}

# Takes the first free HBA number of a kind and makes NAME under it; the path is left in LIO_BACKSTORE.
lio_new_backstore() {
  local kind=$1 name=$2 n=0
  lio_load || return 1
  while [[ -d $LIO/core/${kind}_$n ]]; do
    [[ ! -d $LIO/core/${kind}_$n/$name ]] || { lio_fail "the backstore ${kind}_$n/$name exists already"; return 1; }
    n=$((n + 1))
  done
  LIO_BACKSTORE=$LIO/core/${kind}_$n/$name
  lio_mkdir "$LIO_BACKSTORE"
}

# Enables LIO_BACKSTORE within LIO_ENABLE_SECONDS. The kernel waits without limit, and beyond SIGKILL, for the reply of a
# daemon that announced replies and died (the announcement outlives it), so the write must not happen in this process.
lio_enable() {
  local seconds=${LIO_ENABLE_SECONDS:-30} writer
  mkdir -p "$LIO_STATE"
  (echo 1 > "$LIO_BACKSTORE/enable") 2> "$LIO_STATE/enable.error" &
  writer=$!
  if ! WAIT_INTERVAL=0.02 wait_for "$seconds" ! process_alive "$writer"; then
    lio_fail "enabling $LIO_BACKSTORE did not end in $seconds s: no daemon answers for it. To free the waiter: lio_reset_netlink"
    return 1
  fi
  wait "$writer" || { lio_fail "enabling $LIO_BACKSTORE failed:$(sed 's/.*error://' "$LIO_STATE/enable.error") (the daemon's log says why)"; return 1; }
}

# lio_reset_netlink: fails every create, remove and reconfigure that waits for a daemon's reply.
lio_reset_netlink() {
  local parameters=/sys/module/target_core_user/parameters
  echo 1 > "$parameters/block_netlink" && echo 1 > "$parameters/reset_netlink"
  echo 0 > "$parameters/block_netlink"
}

# lio_backstore NAME CONFIG SIZE_BYTES [BLOCK_BYTES]: a TCMU backstore served by the daemon that CONFIG's first word names
# ("gateway/<store>/<volume>"). Sets LIO_BACKSTORE.
lio_backstore() {
  local name=$1 config=$2 size=$3 block=${4:-512} attribute
  lio_new_backstore user "$name" || return 1
  # Whole numbers first; the configuration last and without a newline, since the kernel keeps it as it comes.
  lio_write "$LIO_BACKSTORE/control" "dev_size=$size,hw_block_size=$block,hw_max_sectors=$((${LIO_MAX_TRANSFER:-4194304} / block))" || return 1
  lio_write "$LIO_BACKSTORE/control" "max_data_area_mb=${LIO_DATA_AREA_MB:-128}" || return 1
  printf 'dev_config=%s' "$config" > "$LIO_BACKSTORE/control" || return 1
  lio_enable || return 1
  # After enable: before it, attributes of some backstores crash kernel 6.1. Before export: cmd_time_out is refused then.
  for attribute in cmd_time_out:0 "qfull_time_out:${LIO_QFULL_SECONDS:-5}" tmr_notification:1; do
    [[ ! -e $LIO_BACKSTORE/attrib/${attribute%:*} ]] ||
      lio_write "$LIO_BACKSTORE/attrib/${attribute%:*}" "${attribute#*:}" || return 1
  done
  lio_serial "$name"
  lio_write "$LIO_BACKSTORE/wwn/vpd_unit_serial" "$REPLY"
}

# lio_fileio_backstore NAME FILE SIZE_BYTES [BLOCK_BYTES]: LIO's own file backstore in write-back form: a stand-in for the
# gateway when the lab itself is tested, and something to compare with.
lio_fileio_backstore() {
  local name=$1 file=$2 size=$3 block=${4:-512} attribute
  lio_new_backstore fileio "$name" || return 1
  [[ -e $file ]] || truncate -s "$size" "$file" || return 1
  lio_write "$LIO_BACKSTORE/control" "fd_dev_name=$file,fd_dev_size=$size,fd_buffered_io=1" || return 1
  lio_enable || return 1
  for attribute in "block_size:$block" emulate_write_cache:1 emulate_tpu:1 emulate_tpws:1; do
    lio_write "$LIO_BACKSTORE/attrib/${attribute%:*}" "${attribute#*:}" || return 1
  done
  lio_serial "$name"
  lio_write "$LIO_BACKSTORE/wwn/vpd_unit_serial" "$REPLY"
}

# lio_iscsi_export NAME: exports LIO_BACKSTORE as LUN 0 of target LIO_IQN_PREFIX:NAME (left in LIO_IQN) on LIO_PORTAL, to
# any initiator, without authentication: keep the portal on loopback.
lio_iscsi_export() {
  local group attribute
  [[ -d /sys/module/iscsi_target_mod ]] || modprobe iscsi_target_mod || { lio_fail "the kernel has no iSCSI target"; return 1; }
  LIO_IQN=$LIO_IQN_PREFIX:$1
  group=$LIO/iscsi/$LIO_IQN/tpgt_1
  lio_mkdir "$group" && lio_mkdir "$group/lun/lun_0" && lio_mkdir "$group/np/$LIO_PORTAL" || return 1
  lio_link "$LIO_BACKSTORE" "$group/lun/lun_0/backstore" || return 1
  for attribute in authentication:0 generate_node_acls:1 cache_dynamic_acls:1 demo_mode_write_protect:0 default_cmdsn_depth:128; do
    lio_write "$group/attrib/${attribute%:*}" "${attribute#*:}" || return 1
  done
  lio_note write "$group/enable" 0
  lio_write "$group/enable" 1
}

# iscsid_start: the initiator's daemon, in the lab with a configuration of its own. Uses the caller's "settings".
iscsid_listens() { grep -q '@ISCSIADM_ABSTRACT_NAMESPACE' /proc/net/unix; }
iscsid_start() {
  ! iscsid_listens || return 0
  [[ -d /sys/module/iscsi_tcp ]] || modprobe iscsi_tcp || { lio_fail "the kernel has no iSCSI initiator"; return 1; }
  mkdir -p "$LIO_STATE"
  if [[ -n ${DEMO_HOST-} ]]; then
    iscsid -p "$LIO_STATE/iscsid.pid" || { lio_fail "iscsid does not start (apt-get install open-iscsi)"; return 1; }
  else
    # iscsiadm reads this path and no other; in the lab it lies in the overlay. The session settings come from here, which
    # spares an iscsiadm for each: starting a process is the dear thing in emulation.
    mkdir -p /etc/iscsi
    echo "InitiatorName=${LIO_INITIATOR:-$LIO_IQN_PREFIX:initiator}" > /etc/iscsi/initiatorname.iscsi
    printf '%s\n' 'node.startup = manual' 'iscsid.startup = /bin/true' "${settings[@]/=/ = }" > /etc/iscsi/iscsid.conf
    iscsid -p "$LIO_STATE/iscsid.pid" ||
      { lio_fail "iscsid does not start (apt-get install open-iscsi)"; return 1; }
  fi
  wait_for 10 iscsid_listens || { lio_fail "iscsid does not answer"; return 1; }
  lio_note process "$(< "$LIO_STATE/iscsid.pid")"
}

# The block device of LUN 0 of a target, found through its session in sysfs: no udev needed, and no trust in what the
# device says of itself. Left in LIO_DISK.
iscsi_find_disk() {
  local session name block
  for session in /sys/class/iscsi_session/session*; do
    { read -r name < "$session/targetname"; } 2>/dev/null || continue
    [[ $name == "$1" ]] || continue
    for block in "$session"/device/target*/*:0/block/*; do
      [[ -b /dev/${block##*/} ]] || continue
      LIO_DISK=/dev/${block##*/}
      return 0
    done
  done
  return 1
}

# iscsi_login [IQN [PORTAL]]: discovery and login; the disk is left in LIO_DISK. If the backstore's serial is known, the
# disk must report it (VPD page 80h): otherwise the gateway serves something else under that name.
# ISCSI_REPLACEMENT_SECONDS (120): how long a lost session holds commands. ISCSI_COMMAND_SECONDS: timeout of a command,
# the kernel's 30 unless set.
iscsi_login() {
  local iqn=${1:-$LIO_IQN} portal=${2:-$LIO_PORTAL} setting log=$LIO_STATE/iscsiadm.log serial
  local settings=("node.session.timeo.replacement_timeout=${ISCSI_REPLACEMENT_SECONDS:-120}"
    'node.conn[0].timeo.noop_out_interval=10' 'node.conn[0].timeo.noop_out_timeout=30'
    node.session.queue_depth=128 node.session.cmds_max=256)
  iscsid_start || return 1
  lio_note records "$iqn" "$portal"
  timeout -k 5 30 iscsiadm -m discovery -t sendtargets -p "$portal" > "$log" 2>&1 ||
    { lio_fail "discovery on $portal failed: $(tail -n 2 "$log")"; return 1; }
  if [[ -n ${DEMO_HOST-} ]]; then
    for setting in "${settings[@]}"; do
      timeout -k 5 30 iscsiadm -m node -T "$iqn" -p "$portal" -o update -n "${setting%=*}" -v "${setting##*=}" >> "$log" 2>&1 ||
        { lio_fail "iscsiadm refused ${setting}: $(tail -n 2 "$log")"; return 1; }
    done
  fi
  lio_note login "$iqn" "$portal"
  timeout -k 5 60 iscsiadm -m node -T "$iqn" -p "$portal" --login >> "$log" 2>&1 ||
    { lio_fail "login to $iqn failed: $(tail -n 2 "$log")"; return 1; }
  wait_for 30 iscsi_find_disk "$iqn" || { lio_fail "no disk appeared for $iqn within 30 s"; return 1; }
  if [[ -n ${LIO_BACKSTORE-} && -e $LIO_BACKSTORE/wwn/vpd_unit_serial ]]; then
    serial=$(sed 's/.*: //' "$LIO_BACKSTORE/wwn/vpd_unit_serial")
    lio_reports_serial "$LIO_DISK" "$serial" || echo "lio: warning: $LIO_DISK does not report the unit serial $serial" >&2
  fi
  [[ -z ${ISCSI_COMMAND_SECONDS-} ]] || echo "$ISCSI_COMMAND_SECONDS" > "/sys/block/${LIO_DISK##*/}/device/timeout"
}

lio_reports_serial() { tr -d '\0' 2>/dev/null < "/sys/block/${1##*/}/device/vpd_pg80" | grep -qaF -- "$2"; }

# iscsi_logout [IQN [PORTAL]]: flushes nothing; unmount first.
iscsi_session_of() {
  local session name
  for session in /sys/class/iscsi_session/session*; do
    { read -r name < "$session/targetname"; } 2>/dev/null && [[ $name == "$1" ]] && return 0
  done
  return 1
}
iscsi_logout() {
  local iqn=${1:-$LIO_IQN} portal=${2:-$LIO_PORTAL}
  iscsi_session_of "$iqn" || return 0
  timeout -k 5 60 iscsiadm -m node -T "$iqn" -p "$portal" --logout > /dev/null 2>&1 ||
    { lio_fail "logout from $iqn failed"; return 1; }
  wait_for 30 ! iscsi_session_of "$iqn" || lio_fail "the session with $iqn did not end within 30 s"
}

# loop_export NAME: LIO_BACKSTORE as a local SCSI disk through tcm_loop, where there is no iSCSI initiator. Sets LIO_DISK.
loop_find_disk() {
  local block
  for block in "/sys/class/scsi_device/$1:0/device/block"/*; do
    [[ -b /dev/${block##*/} ]] || continue
    LIO_DISK=/dev/${block##*/}
    return 0
  done
  return 1
}
loop_export() {
  local group address hash
  [[ -d /sys/module/tcm_loop ]] || modprobe tcm_loop || { lio_fail "the kernel has no tcm_loop"; return 1; }
  hash=$(printf %s "$1" | sha256sum)
  group=$LIO/loopback/naa.6001405${hash:0:9}/tpgt_1
  lio_mkdir "$group" || return 1
  lio_write "$group/nexus" "naa.6001405${hash:9:9}" || return 1
  lio_mkdir "$group/lun/lun_0" || return 1
  lio_link "$LIO_BACKSTORE" "$group/lun/lun_0/backstore" || return 1
  address=$(< "$group/address")
  # LIO tells the SCSI layer of a new LUN by itself, but not of one that was there before the nexus.
  wait_for 5 loop_find_disk "$address" ||
    { echo '- - -' > "/sys/class/scsi_host/host${address%%:*}/scan"; wait_for 10 loop_find_disk "$address"; } ||
    { lio_fail "no disk appeared at SCSI address $address"; return 1; }
}

# lio_teardown [KEPT]: undoes, in reverse, all that the functions above made and is still there, but for the first KEPT things (lio_made). Unmount first.
lio_made() { REPLY=$(wc -l < "$LIO_STATE/made"); }
lio_teardown() {
  local kind a b status=0 kept=${1:-0} left=''
  [[ -e $LIO_STATE/made ]] || return 0
  while IFS=$'\t' read -r kind a b _; do
    case $kind in
      login) iscsi_logout "$a" "$b" || status=1 ;;
      records)
        timeout -k 5 20 iscsiadm -m node -T "$a" -p "$b" -o delete > /dev/null 2>&1 || true
        timeout -k 5 20 iscsiadm -m discoverydb -t sendtargets -p "$b" -o delete > /dev/null 2>&1 || true
        ;;
      process)
        kill "$a" 2>/dev/null || true
        wait_for 5 ! process_alive "$a" || kill -KILL "$a" 2>/dev/null || true
        ;;
      write) [[ ! -e $a ]] || lio_write "$a" "$b" || status=1 ;;
      link) [[ ! -L $a ]] || rm "$a" || status=1 ;;
      dir)
        [[ $a != "$LIO"/loopback/*/tpgt_1 || ! -e $a/nexus ]] || echo NULL > "$a/nexus" 2>/dev/null || true
        if [[ -d $a ]] && ! lio_rmdir "$a"; then status=1; fi
        ;;
    esac
  done < <(tail -n "+$((kept + 1))" "$LIO_STATE/made" | tac)
  [[ $status -eq 0 ]] || return $status
  if [[ $kept -eq 0 ]]; then
    rm -f "$LIO_STATE/made"
  else
    left=$(head -n "$kept" "$LIO_STATE/made") && echo "$left" > "$LIO_STATE/made"
  fi
}

# Removing a TCMU device waits for a daemon's reply just as enabling does: bounded, and out of this process.
lio_rmdir() {
  local remover
  rmdir "$1" 2>/dev/null &
  remover=$!
  WAIT_INTERVAL=0.02 wait_for "${LIO_ENABLE_SECONDS:-30}" ! process_alive "$remover" ||
    { lio_fail "removing $1 does not end: no daemon answers. To free the waiter: lio_reset_netlink"; return 1; }
  wait "$remover" || [[ ! -d $1 ]] || lio_fail "cannot remove $1: it is in use"
}
