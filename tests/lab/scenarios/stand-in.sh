# shellcheck shell=bash
# stand-in.sh: SCENARIO_HOOKS that put LIO's own file backstore in the gateway's place, to test the scenarios themselves.
# Killing it does nothing and its "bucket" is always up to date.
gateway_config() { :; }
gateway_start() { :; }
gateway_kill9() { :; }
gateway_stop() { :; }
volume_create() { :; }
volume_number() { REPLY=1; }
volume_settled() { sync; }
volume_backstore() { lio_fileio_backstore "$VOLUME" "$SCRATCH/stand-in.img" "$1" "$2"; }
bucket_summary() { say "    (a stand-in has no bucket)"; }
