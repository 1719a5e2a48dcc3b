# shellcheck shell=bash
# faulty-store.sh, to be sourced from the project's root: a one-node Ceph with its S3 gateway, and a proxy before it that makes requests fail.
# faulty_store_start BUCKET: starts both; they end with this shell. Sets gateway, work, port, control, and exports the keys.

gateway=${GATEWAY:-$PWD/artifacts/publish/Gateway/release_linux-x64/tcmu-gateway}
proxy=$PWD/artifacts/bin/Gateway.FaultProxy/release/fault-proxy.dll
work='' proxy_in='' port='' control=''

faulty_store_stop() {
  [[ -z $proxy_in ]] || exec {proxy_in}>&-
  tests/lab/ceph-mini rgw-cont --dir "$work/ceph" > /dev/null 2>&1 || true
  tests/lab/ceph-mini stop --dir "$work/ceph" > /dev/null 2>&1 || true
  rm -rf "$work"
}

faulty_store_start() {
  local line
  [[ -x $gateway ]] || { echo "The gateway is not built: make publish" >&2; exit 69; }
  [[ -e $proxy ]] || { echo "The fault proxy is not built: make build" >&2; exit 69; }
  work=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-gateway-$1.XXXXXX")
  trap faulty_store_stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  echo "Starting a one-node Ceph with its S3 gateway (RGW), and a proxy before it ..."
  tests/lab/ceph-mini start --dir "$work/ceph" > "$work/ceph.env"
  # shellcheck disable=SC2046
  export $(grep -E '^(S3_ENDPOINT|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY)=' "$work/ceph.env")
  curl -sSf -o /dev/null -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -X PUT "$S3_ENDPOINT/$1"
  mkfifo "$work/stdin" "$work/stdout"
  dotnet "$proxy" "$S3_ENDPOINT" 0 0 "$PWD/tests/lab/ceph-mini" --dir "$work/ceph" < "$work/stdin" > "$work/stdout" &
  exec {proxy_in}> "$work/stdin"
  while read -r line; do
    case $line in PORT=*) port=${line#*=} ;; CONTROL=*) control=${line#*=} ;; READY) break ;; esac
  done < "$work/stdout"
  [[ -n $port && -n $control ]] || { echo "The fault proxy does not start." >&2; exit 1; }
}
