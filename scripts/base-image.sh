#!/usr/bin/env bash
# base-image.sh [TAG]: makes the container image's base from this host's Debian packages, without any image registry and without root: glibc, libgcc,
# libssl3 and root certificates. No shell. An image of the same packages is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-tcmu-gateway-base:local}
packages=(libc6 libssl3 ca-certificates)

work=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-gateway-base.XXXXXX")
trap 'rm -rf "$work"' EXIT
versions=$(for package in "${packages[@]}"; do apt-cache show --no-all-versions "$package" | sed -n "s/^Version: /$package /p"; done)
label=$({ echo "$versions"; cat "$0"; } | sha256sum | head -c 16)
if [[ $(docker image inspect -f '{{index .Config.Labels "org.tcmu-gateway.base"}}' "$tag" 2> /dev/null) == "$label" ]]; then
  echo "$tag is there already"
  exit
fi

mkdir -p "$work"/{packages,root}
chmod 777 "$work/packages" # apt downloads as its own user, where it has one.
chmod 755 "$work"
(cd "$work/packages" && apt-get download -qq "${packages[@]}")
root=$work/root
mkdir -p "$root"/{dev,etc/ssl/certs,proc,sys,tmp,run,root,usr/{bin,sbin,lib,lib64},var/lib/dpkg/status.d,var/tmp}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
for file in "$work"/packages/*.deb; do
  dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink --no-same-owner -C "$root"
  # Scanners read from here what the image is made of.
  dpkg-deb -f "$file" > "$root/var/lib/dpkg/status.d/$(dpkg-deb -f "$file" Package)"
done
# Character sets and locales are for programs that ask for them; of the documentation only the licences stay.
rm -rf "$root"/usr/lib/x86_64-linux-gnu/{gconv,audit,engines-3,ossl-modules} "$root"/usr/share/{man,lintian,locale} "$root"/etc/{init.d,ld.so.conf.d} \
  "$root"/usr/sbin/update-ca-certificates
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -empty -delete
cat "$root"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/usr/share/ca-certificates"
echo 'root:x:0:0:root:/root:/usr/sbin/nologin' > "$root/etc/passwd"
printf 'root:x:0:\ntcmu-gateway:x:64535:\n' > "$root/etc/group"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp" "$root/var/tmp"

tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$root" . |
  docker import -c "LABEL org.tcmu-gateway.base=$label" -c 'ENV PATH=/usr/sbin:/usr/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' - "$tag" > /dev/null
echo "$tag: $(docker image inspect -f '{{.Size}}' "$tag" | awk '{ printf "%.1f MB", $1 / 1e6 }')"
