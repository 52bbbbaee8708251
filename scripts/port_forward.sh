#!/usr/bin/env bash
# The stable Service on this machine, for a look: port_forward.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
usage() {
  cat <<END
usage: port_forward.sh [--port PORT] [--namespace NS] [--rollout NAME] [--context C]

http://127.0.0.1:PORT (8000) leads to one pod behind the Rollout's stable Service, and ends with that pod: for
a look, never for a promotion (verify_no_downtime.sh goes through the Service). Ctrl-C ends it.

variables: LOCAL_PORT (8000), NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 ended, 1 the pod ended, 2 the command is wrong, no cluster answers, or the port is taken
END
}

LOCAL_PORT=${LOCAL_PORT:-8000}
read_options port=LOCAL_PORT namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
no_more_words
rehearse_if_asked
if [ -n "${ON_REHEARSAL:-}" ]; then
  echo "The stable Service of a rehearsal needs no forwarding: $ON_REHEARSAL"
  exit 0
fi
if ! [[ $LOCAL_PORT =~ ^[1-9][0-9]{0,4}$ ]] || [ "$LOCAL_PORT" -gt 65535 ]; then
  refuse "LOCAL_PORT=$LOCAL_PORT: write a port of this machine, such as LOCAL_PORT=8001"
fi
need_cluster
SERVICE=$(of_rollout '{{.spec.strategy.blueGreen.activeService}}')
"$PYTHON" -c "import socket; socket.create_server(('127.0.0.1', $LOCAL_PORT))" 2>/dev/null ||
  refuse "port $LOCAL_PORT of this machine is taken: choose another, such as make port-forward LOCAL_PORT=$((LOCAL_PORT + 1))"
echo "http://127.0.0.1:$LOCAL_PORT leads to one pod behind Service $SERVICE and ends with it: not for a promotion. Ctrl-C ends it."
exec "${KUBECTL[@]}" -n "$NAMESPACE" port-forward "service/$SERVICE" "$LOCAL_PORT:8000"
