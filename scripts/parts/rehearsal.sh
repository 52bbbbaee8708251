# REHEARSAL=1: the script runs on a rehearsal in the place of a cluster.
# Needs python.sh.
# shellcheck shell=bash

# is_on VALUE: whether a switch such as PROMOTE=1 is set.
is_on() {
  case "${1:-}" in
    "" | 0 | no | false) return 1 ;;
  esac
}

ARGUMENTS=("$@") # the script's own

# rehearse_if_asked: with REHEARSAL=1 the script starts anew, on a rehearsal. Call it once the arguments are checked.
rehearse_if_asked() {
  if is_on "${REHEARSAL:-}" && [ -z "${ON_REHEARSAL:-}" ]; then
    exec "$ROOT/scripts/on_rehearsal.sh" "$ROOT/scripts/$(basename "$0")" "${ARGUMENTS[@]}"
  fi
}
