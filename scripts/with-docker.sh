#!/usr/bin/env bash
# with-docker.sh COMMAND [ARGUMENT]...: runs a command with a Docker engine: the one that runs, or one that is started for it as root and stopped again.
# Its images are kept in artifacts/docker. Exit status: COMMAND's; without an engine COMMAND runs all the same, and says itself what it lacks.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
if ! docker version > /dev/null 2>&1 && [[ $EUID -eq 0 && -z ${DOCKER_HOST-} ]] && command -v dockerd > /dev/null; then
  folder=$PWD/artifacts/docker
  run=$(mktemp -d /run/tcmu-gateway-docker.XXXXXX) # Short: the path of a socket has 107 characters at most.
  mkdir -p "$folder"
  # One at a time in this folder and on this host's bridge.
  exec {lock}> /run/tcmu-gateway-docker.lock
  flock "$lock"
  # What stays behind the engine is told by its own log alone.
  dockerd --host "unix://$run/docker.sock" --data-root "$folder/data" --exec-root "$run/exec" --pidfile "$run/pid" > "$folder/dockerd.log" 2>&1 {lock}>&- &
  engine=$!
  # shellcheck disable=SC2317 # Called by the trap.
  stop() {
    kill "$engine" 2> /dev/null
    wait "$engine" 2> /dev/null
    rm -rf "$run"
  }
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export DOCKER_HOST=unix://$run/docker.sock
  for ((i = 0; i < 300; i++)); do
    docker version > /dev/null 2>&1 && break
    if ! kill -0 "$engine" 2> /dev/null; then
      echo "with-docker.sh: dockerd does not start:" >&2
      tail -n 5 "$folder/dockerd.log" >&2
      unset DOCKER_HOST
      break
    fi
    sleep 0.1
  done
fi
# Testcontainers speaks API 1.44, and does not ask an older engine (Debian 12: 1.41) what it knows.
api=$(docker version --format '{{.Server.APIVersion}}' 2> /dev/null)
if [[ -n $api && -z ${DOCKER_API_VERSION-} && $(printf '%s\n' "$api" 1.44 | sort -V | head -n 1) == "$api" ]]; then export DOCKER_API_VERSION=$api; fi
# What COMMAND leaves running does not keep the lock.
if [[ -n ${lock-} ]]; then "$@" {lock}>&-; else "$@"; fi
