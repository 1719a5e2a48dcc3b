#!/usr/bin/env bash
# pod.sh [SECONDS [RESTARTS]]: the chart's pod under Podman: it loads the modules, serves a volume to an initiator, and is replaced RESTARTS (2) times within
# SECONDS (30) of verified random writes, as a rolling update does it: SIGTERM, then a new pod. Nothing may fail: the initiator only sees a stall.
# To be run in the lab by tests/lab/pod, which leaves pods and images in POD_FOLDER.
#
# Conditions are handed to check and wait_for as text.
# shellcheck disable=SC2016
set -euo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

seconds=${1:-30}
restarts=${2:-2}
iqn=$LIO_IQN_PREFIX:disk
portal=127.0.0.1:3260
FIO_MIB=64
grace=75 # terminationGracePeriodSeconds
# Podman and its helpers take seconds for what a kubelet does, in emulation: the initiator is given more than its 30 s.
ISCSI_COMMAND_SECONDS=120
GATEWAY_LOG=$OUT/gateway.log
export TMPDIR=$SCRATCH/tmp DISABLE_HC_SYSTEMD=true

# --- Podman in the place of a kubelet -----------------------------------------------------------------------------------------

node_prepare() {
  mkdir -p "$TMPDIR" "$SCRATCH/bucket" /etc/containers
  mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
  printf '%s\n' '[storage]' 'driver = "overlay"' 'runroot = "/run/containers/storage"' "graphroot = \"$SCRATCH/containers\"" > /etc/containers/storage.conf
  printf '%s\n' '[engine]' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' 'runtime = "crun"' > /etc/containers/containers.conf
  if [[ -e $POD_FOLDER/image.tar ]]; then
    podman tag "$(podman load --quiet --input "$POD_FOLDER/image.tar" | sed 's/.*: //')" localhost/tcmu-gateway:lab
  else
    podman import --quiet --change 'ENTRYPOINT ["/usr/bin/tcmu-gateway"]' --change 'CMD ["serve"]' --change 'ENV PATH=/usr/bin' "$POD_FOLDER/gateway.tar" localhost/tcmu-gateway:lab
  fi &&
    podman import --quiet --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$POD_FOLDER/busybox.tar" localhost/busybox:lab
} > "$OUT/podman-prepare.log" 2>&1

# The guest has them loaded at boot; the pod's init container is to do it.
modules_unload() { modprobe -r tcm_loop iscsi_target_mod target_core_user && [[ ! -e /sys/module/target_core_user ]]; }
modules_loaded() { [[ -e /sys/module/target_core_user && -e /sys/module/iscsi_target_mod && -e /sys/module/tcm_loop ]]; }

pod_name() { echo "gateway-tcmu-gateway-$1"; }

# pod_create NUMBER: everything but the start. Podman 4.3 gives a pod's cgroup a device filter that allows nothing, not even /dev/null, where there is no
# systemd; each container has a filter of its own below it, as Kubernetes makes them, so that of the pod goes.
pod_create() {
  local cgroup id
  podman kube play --start=false --log-driver k8s-file "$POD_FOLDER/pod-$1.yaml" > "$OUT/play-$1.log" 2>&1 || { tail -n 3 "$OUT/play-$1.log"; return 1; }
  cgroup=/sys/fs/cgroup/libpod_parent/$(podman pod inspect --format '{{.ID}}' "$(pod_name "$1")")
  for id in $(bpftool -j cgroup show "$cgroup" | grep -o '"id":[0-9]*'); do bpftool cgroup detach "$cgroup" device id "${id#*:}" || return 1; done
}
pod_start() { podman pod start "$(pod_name "$1")" > "$OUT/start-$1.log" 2>&1 || { tail -n 3 "$OUT/start-$1.log"; return 1; }; }
pod_stop() { podman pod stop --time "$grace" "$(pod_name "$1")" > "$OUT/stop-$1.log" 2>&1 || { tail -n 3 "$OUT/stop-$1.log"; return 1; }; }
# pod_ended NUMBER: the gateway answered SIGTERM by itself: 137 would be the kubelet's SIGKILL.
pod_ended() { [[ $(podman inspect --format '{{.State.ExitCode}}' "$(pod_name "$1")-gateway") == 0 ]]; }
# own_ms NUMBER FROM TO: what the gateway itself took of that, between two events of its log.
own_ms() {
  podman logs "$(pod_name "$1")-gateway" 2>&1 | awk -v from="$2" -v to="$3" '{ split(substr($1, 12), t, /[:Z]/); ms = (t[1] * 3600 + t[2] * 60 + t[3]) * 1000 }
    index($0, from) && a == "" { a = ms } index($0, to) && b == "" { b = ms } END { printf "%d", b - a }'
}
pod_remove() {
  podman logs "$(pod_name "$1")-gateway" >> "$GATEWAY_LOG" 2>&1
  podman kube down "$POD_FOLDER/pod-$1.yaml" > "$OUT/down-$1.log" 2>&1
}

# The probes that the kubelet would send. HTTP_STATUS is left by both.
http_status() {
  HTTP_STATUS=''
  { exec {http}<> /dev/tcp/127.0.0.1/9464; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nConnection: close\r\n\r\n' "$1" >&"$http"
  read -r -t 5 -u "$http" _ HTTP_STATUS _ || true
  exec {http}>&-
  [[ $HTTP_STATUS == 200 ]]
}
ready() { http_status /readyz && [[ -e $LIO/iscsi/$iqn/tpgt_1/enable && $(< "$LIO/iscsi/$iqn/tpgt_1/enable") == 1 ]]; }
alive() { http_status /livez; }
becomes_ready() { wait_for 90 ready || { podman logs "$(pod_name "$1")-gateway" 2>&1 | tail -n 5; return 1; }; }

# The same container without privileges, where the runtime has a rule for UIO devices, for which Kubernetes has no field: 'privileges.privileged: false' with
# NET_ADMIN alone. All that the pod mounts, it mounts.
bare_start() {
  local major
  major=$(awk '$2 == "uio" { print $1 }' /proc/devices)
  podman run --detach --name bare --network host --log-driver k8s-file --read-only --cap-drop all --cap-add NET_ADMIN --security-opt no-new-privileges --device-cgroup-rule "c $major:* rw" \
    --volume gateway-tcmu-gateway:/etc/tcmu-gateway:ro --volume /sys/kernel/config:/sys/kernel/config --volume /dev:/dev --volume "$SCRATCH/state:/var/lib/tcmu-gateway" \
    --volume /sys/module/target_core_user/parameters:/sys/module/target_core_user/parameters --volume "$SCRATCH/bucket:/srv/bucket" --tmpfs /run/tcmu-gateway \
    localhost/tcmu-gateway:lab serve > "$OUT/bare.log" 2>&1 || { tail -n 3 "$OUT/bare.log"; return 1; }
}
bare_is_bare() {
  local pid
  pid=$(podman inspect --format '{{.State.Pid}}' bare) || return 1
  grep -q 'CapEff:.0000000000001000$' "/proc/$pid/status" && grep -q 'NoNewPrivs:.1$' "/proc/$pid/status"
}

# --- The load -----------------------------------------------------------------------------------------------------------------

# At a steady rate: in emulation, Podman and the gateway need the rest of the processor.
writer() {
  local round=0 end
  now_us; end=$((REPLY + seconds * 1000000))
  while :; do
    round=$((round + 1))
    fio_run "round-$round" --rw=randwrite --bs=4k --iodepth=16 --rate_iops=50 --io_size=2M --randseed=$((round * 7919)) --do_verify=1 || return 1
    now_us
    if ((REPLY >= end)) && [[ -e $LIO_STATE/restarts-done ]]; then return 0; fi
  done
}
pod_tear_down() { podman rm --force --time 5 bare; podman pod rm --force --all --time 5; } > /dev/null 2>&1

# --- The story ----------------------------------------------------------------------------------------------------------------

scenario_start
rm -f "$OUT"/fio-* "$GATEWAY_LOG"
say "1. The chart's pod"
step "Podman has the images" node_prepare
step "the kernel modules are not loaded" modules_unload
step "pod created from the rendered DaemonSet" pod_create 0
step "pod started" pod_start 0
check "its init container loaded the modules" modules_loaded || true
step "it is ready: /readyz answers 200, and the target is enabled" becomes_ready 0
check "it is alive: /livez answers 200" alive || true
check "commands work in it, on a read-only root" podman exec "$(pod_name 0)-gateway" /usr/bin/tcmu-gateway target list || true

say "2. A disk for an initiator"
step "logged in" iscsi_login "$iqn" "$portal"
step "64 MiB written in order" fio_run fill --rw=write --bs=256k --iodepth=4 --do_verify=0

say "3. The pod is replaced $restarts times under random writes"
mkdir -p "$LIO_STATE"
rm -f "$LIO_STATE/restarts-done"
writer &
writer_pid=$!
for ((i = 1; i <= restarts; i++)); do
  step "pod $i created beside the old one" pod_create "$i"
  pause 3
  process_alive "$writer_pid" || break
  now_us; asked=$REPLY
  step "pod $((i - 1)) stopped" pod_stop $((i - 1))
  now_us; stopped=$REPLY
  step "pod $i started" pod_start "$i"
  step "pod $i is ready" becomes_ready "$i"
  now_us
  say "      stopped after $(((stopped - asked) / 1000)) ms, ready again after $(((REPLY - asked) / 1000)) ms; of that the gateway took $(own_ms $((i - 1)) 'Serving[107]' 'Tcmu[102]') ms to stop, $(own_ms "$i" 'Tcmu[230]' 'Serving[101]') ms to serve"
  check "pod $((i - 1)) ended by itself" pod_ended $((i - 1)) || true
  pod_remove $((i - 1)) || true
done
touch "$LIO_STATE/restarts-done"
if wait "$writer_pid"; then # Here and not in check, whose subshell has no child.
  say "  ✔ no write failed and all that was written read back right"
else
  say "  ✘ fio failed:"
  tail -n 8 "$OUT"/fio-round-*.log
  checks_failed=$((checks_failed + 1))
fi
check "every block is whole" fio_run final --rw=read --bs=256k --iodepth=4 || true
check "the kernel's log is clean" check_kernel_log || true
say "  longest time a command took: $(fio_longest_ms "$OUT"/fio-round-*.json) ms, in $(find "$OUT" -name 'fio-round-*.json' | wc -l) rounds"

say "4. The same without privileges but CAP_NET_ADMIN, where the runtime opens UIO devices"
check "pod $restarts stopped" pod_stop "$restarts" || true
pod_remove "$restarts" || true
step "container started" bare_start
step "it is ready" wait_for 90 ready
check "it has CAP_NET_ADMIN alone, and can gain nothing" bare_is_bare || true
check "blocks are written and read back" fio_run bare --rw=randwrite --bs=64k --iodepth=4 --io_size=16M --do_verify=1 || true
podman logs bare >> "$GATEWAY_LOG" 2>&1 || true
check "the kernel's log is still clean" check_kernel_log || true
lio_teardown || true
pod_tear_down || true
scenario_end
