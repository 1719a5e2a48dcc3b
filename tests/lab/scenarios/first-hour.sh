#!/usr/bin/env bash
# first-hour.sh: docs/getting-started.md, command by command. In the lab; see tests/lab/first-hour. Environment: GATEWAY.
# Leaves the document with what was printed now in /out/getting-started.md, and fails if more than numbers and spaces differ.
set -uo pipefail
# shellcheck source=tests/lab/scenarios/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"

document=$scenarios/../../../docs/getting-started.md
fresh=$OUT/getting-started.md
printed=$OUT/printed
settings=('node.conn[0].timeo.noop_out_interval=10' 'node.conn[0].timeo.noop_out_timeout=30' node.session.initial_login_retry_max=1)

# What may differ from run to run: identities, times, figures, the width of columns; and whether there is a figure at all in a row of them.
plain() { sed -E 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/ID/g; s/[0-9]+([.:,-][0-9]+)*/N/g; s/N?(µs|us|ms| s| min)\b/TIME/g; s/up TIME( TIME)*/up TIME/g; s/─+/─/g; s/[[:space:]]+/ /g; s/ $//; s/N (B|KiB|MiB|GiB)\b/SIZE/g; s/( (-|SIZE|N|N?TIME|%)){2,}/ FIGURES/g; /^Not in bucket/d' "$1"; }

serve() { # In another terminal, as the document says.
  tcmu-gateway serve > "$GATEWAY_LOG" 2>&1 < /dev/null &
  gateway_pid=$!
  wait_for 30 grep -q 'and waits for more' "$GATEWAY_LOG" || { cat "$GATEWAY_LOG"; return 1; }
  sed '/and waits for more/q' "$GATEWAY_LOG"
}
run() { # COMMAND: as typed, in this shell.
  case $1 in
    'tcmu-gateway serve') serve ;;
    'pkill -KILL tcmu-gateway') gateway_kill9 ;;
    'pkill tcmu-gateway') gateway_stop ;;
    *) eval "$1" ;;
  esac > "$printed" 2>&1 < /dev/null
  return 0
}

line='' block='' command='' expected=$OUT/expected
: > "$fresh"; : > "$expected"
# Ends a command of the document: runs it, writes it down with its output, compares.
finish() {
  [[ -n $command ]] || return 0
  run "$command"
  sed 's/[[:space:]]*$//' "$printed" >> "$fresh"
  if diff <(plain "$expected") <(plain "$printed") > "$OUT/difference"; then
    say "  ✔ ${command%%$'\n'*}"
  else
    say "  ✘ ${command%%$'\n'*}"
    sed 's/^/      /' "$OUT/difference"
    checks_failed=$((checks_failed + 1))
  fi
  command=''
  : > "$expected"
}

scenario_start
install -m 755 "$GATEWAY" /usr/local/bin/tcmu-gateway
mkdir -p "$SCRATCH/lib" /var/lib/tcmu-gateway /mnt
mount --bind "$SCRATCH/lib" /var/lib/tcmu-gateway # The guest's root is in memory, too small for a journal.
echo '10.0.2.100 s3.example.org' >> /etc/hosts
hostname gw1
LIO_INITIATOR=iqn.2025-01.org.example:host1 # As in the document.
step "iscsid started" iscsid_start
while IFS= read -r line || [[ -n $line ]]; do
  if [[ $line == '```console' ]]; then
    block=1
  elif [[ $line == '```' && -n $block ]]; then
    finish; block=''
  elif [[ -n $block && $line == '$ '* ]]; then
    finish; command=${line#'$ '}
  elif [[ -n $block && $line == '> '* && -n $command && ! -s $expected ]]; then
    command+=$'\n'${line#'> '}
  elif [[ -n $block ]]; then
    printf '%s\n' "$line" >> "$expected"
    continue
  fi
  printf '%s\n' "$line" >> "$fresh"
done < "$document"
check "the kernel's log is clean" check_kernel_log || true
scenario_end
