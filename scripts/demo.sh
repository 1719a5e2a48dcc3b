#!/usr/bin/env bash
# demo.sh: shows the main job on a real kernel: in the lab, or with DEMO_HOST=1 on this host. STORE=local (default) or s3 (a real Ceph RGW).
set -euo pipefail
cd "$(dirname "$0")/.."
store=${STORE:-local}
case $store in
  local | file) store=local ;;
  s3) ;;
  *) echo "STORE is local (a directory) or s3 (a Ceph RGW started for the demo), not '$store'." >&2; exit 64 ;;
esac
gateway=$PWD/artifacts/publish/Gateway/release_linux-x64/tcmu-gateway
[[ -x $gateway ]] || { echo "The gateway is not built: make publish" >&2; exit 69; }

out=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-gateway-demo.XXXXXX")
ceph_dir=''
cleanup() {
  [[ -z $ceph_dir ]] || tests/lab/ceph-mini stop --dir "$ceph_dir" || true
  rm -rf "$out"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ $store == s3 ]]; then
  echo "Starting a one-node Ceph with its S3 gateway (RGW) ..."
  ceph_dir=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-gateway-ceph.XXXXXX")
  tests/lab/ceph-mini start --dir "$ceph_dir" --store memstore > "$out/ceph.env"
  # shellcheck disable=SC2046
  export $(grep -E '^(S3_ENDPOINT|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY)=' "$out/ceph.env")
  port=${S3_ENDPOINT##*:}
  curl -sSf -o /dev/null -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X PUT "$S3_ENDPOINT/demo"
fi

if [[ -n ${DEMO_HOST-} ]]; then
  echo "On this host's kernel: its configfs is changed and put back."
  if ! { modprobe target_core_user && modprobe iscsi_target_mod; }; then
    echo "This kernel has no TCMU or no LIO iSCSI target; leave DEMO_HOST out to use the lab." >&2
    exit 69
  fi
  STORE=$store S3_BUCKET=demo GATEWAY=$gateway tests/lab/scenarios/demo.sh
  exit
fi

echo "Booting a stock Debian kernel in emulation (the lab); everything in it is the real thing ..."
args=(-t 600 -o "$out" -e "GATEWAY=$gateway" -e "STORE=$store")
if [[ $store == s3 ]]; then
  args+=(-R "7480:$port" -e S3_BUCKET=demo -e S3_ENDPOINT=http://10.0.2.100:7480 -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY)
fi
tests/lab/lab "${args[@]}" -- tests/lab/scenarios/demo.sh
