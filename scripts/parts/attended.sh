# How a script waits for a long command, and hears a signal meanwhile.
# shellcheck shell=bash

ATTENDED=

# attended COMMAND ...: bash would not act on SIGTERM until a command in the foreground has ended. Its exit code.
# Give `become` for a Python command: with `midstream` the signal would reach a shell around it.
attended() {
  local code=0
  "$@" &
  ATTENDED=$!
  wait "$ATTENDED" || code=$?
  ATTENDED=
  return "$code"
}

# end_attended: for a script's trap.
end_attended() {
  if [ -n "$ATTENDED" ]; then
    kill "$ATTENDED" 2>/dev/null || true
    wait "$ATTENDED" || true
  fi
}
