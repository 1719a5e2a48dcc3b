# shellcheck shell=bash
# wait.sh, to be sourced: waiting for a condition, with a bound.

# pause SECONDS: sleeps without starting a process, which costs tens of milliseconds in emulation.
exec {wait_never}<> <(:)
pause() { read -rt "$1" -u "$wait_never" _ || true; }

# now_us: microseconds of the wall clock, in $REPLY.
now_us() { REPLY=${EPOCHREALTIME/[.,]/}; }

# wait_for SECONDS CONDITION...: polls the command CONDITION until it succeeds (0) or SECONDS have passed (1).
# WAIT_INTERVAL is the time between two tries, 0.1 s by default. "!" as the first word waits until CONDITION fails.
wait_for() {
  local seconds=$1 end negate=''
  shift
  if [[ $1 == '!' ]]; then negate=1; shift; fi
  now_us
  end=$((REPLY + seconds * 1000000))
  while :; do
    if "$@"; then [[ -n $negate ]] || return 0; else [[ -z $negate ]] || return 0; fi
    now_us
    ((REPLY < end)) || return 1
    pause "${WAIT_INTERVAL:-0.1}"
  done
}

# process_alive PID: true while the process runs; a zombie is dead.
process_alive() {
  local stat
  read -r stat 2>/dev/null < "/proc/$1/stat" || return 1
  stat=${stat##*) }
  [[ ${stat%% *} != [ZX] ]]
}
