#!/usr/bin/env bash
# bench.sh: measures the native executable against the project's targets, writes artifacts/bench.json and prints a table.
# Environment: BENCH       only these figures, separated by commas (ring_null,read_warm)
#              BENCH_DIR   a directory on the local disk to be measured (default artifacts/bench); 10 GiB should be free there
set -euo pipefail
cd "$(dirname "$0")/.."
gateway=$PWD/artifacts/publish/Gateway/release_linux-x64/tcmu-gateway
[[ -x $gateway ]] || { echo "The gateway is not built: make publish" >&2; exit 69; }
directory=${BENCH_DIR:-artifacts/bench}
mkdir -p "$directory"

ceph_dir=''
cleanup() { [[ -z $ceph_dir ]] || tests/lab/ceph-mini stop --dir "$ceph_dir" || true; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -z ${BENCH-} || $BENCH == *s3_* ]] && [[ -z ${BENCH_S3_ENDPOINT-} ]]; then
  echo "Starting a one-node Ceph with its S3 gateway (RGW) on bluestore ..." >&2
  ceph_dir=$(mktemp -d "$directory/ceph.XXXXXX")
  ceph_dir=$PWD/${ceph_dir#"$PWD"/}
  tests/lab/ceph-mini start --dir "$ceph_dir" --store bluestore --size 20 > "$directory/ceph.env"
  # shellcheck disable=SC2046
  export $(grep -E '^(S3_ENDPOINT|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY)=' "$directory/ceph.env")
  export BENCH_S3_ENDPOINT=$S3_ENDPOINT BENCH_S3_BUCKET=bench
  curl -sSf -o /dev/null -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X PUT "$BENCH_S3_ENDPOINT/$BENCH_S3_BUCKET"
fi

# Ahead of what else the machine does, where that is allowed.
first=()
nice -n -5 true 2> /dev/null && first=(nice -n -5)
"${first[@]}" "$gateway" bench suite --directory "$directory" --report artifacts/bench.json ${BENCH:+--only "$BENCH"}
