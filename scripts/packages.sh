#!/usr/bin/env bash
# packages.sh GROUP...: makes sure that the Debian packages of the groups are installed; asks apt for nothing that is there.
#   build   what NativeAOT links with
#   lab     the kernel lab and the initiator's tools in it
#   ceph    a one-node Ceph with RGW
#   page    the browser that tests the page
#   pictures what makes pictures of the page small
#   bench   what 'make bench' compares with
set -euo pipefail
declare -A groups=(
  [build]="gcc libc6-dev zlib1g-dev"
  [lab]="qemu-system-x86 linux-image-amd64 busybox-static kmod cpio xz-utils util-linux e2fsprogs qemu-utils open-iscsi libiscsi-bin fio sg3-utils socat targetcli-fb dbus"
  [page]="chromium fonts-liberation"
  [pictures]="pngquant"
  [bench]="fio util-linux"
  [ceph]="ceph-mon ceph-osd ceph-mgr radosgw ceph-common python3-rados curl"
)
missing=()
for group in "$@"; do
  [[ -n ${groups[$group]-} ]] || { echo "packages.sh: no group '$group'; there are: ${!groups[*]}" >&2; exit 64; }
  for package in ${groups[$group]}; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
done
[[ ${#missing[@]} -gt 0 ]] || exit 0
if [[ $EUID -ne 0 ]]; then
  echo "These packages are missing, and only root can install them: sudo apt-get install ${missing[*]}" >&2
  exit 69
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt-get install -y --no-install-recommends "${missing[@]}" > "$log" 2>&1; }
# The package lists of a fresh machine are empty or old: fetch them, and try again once if a package moved meanwhile.
apt-get update -qq > "$log" 2>&1 || true
install || { apt-get update -qq > /dev/null 2>&1 || true; install; } || { tail -n 30 "$log" >&2; exit 1; }
