#!/usr/bin/env bash
# The stable Service on this machine, for a look: port_forward.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/refusal.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/refusal.sh"
# shellcheck source-path=SCRIPTDIR source=parts/python.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/python.sh"
# shellcheck source-path=SCRIPTDIR source=parts/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/cluster.sh"
# shellcheck source-path=SCRIPTDIR source=parts/rehearsal.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/rehearsal.sh"
# shellcheck source-path=SCRIPTDIR source=parts/rollout.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/rollout.sh"
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
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --port) need_value "$@" && LOCAL_PORT=$2 && shift ;;
    --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --rollout) need_value "$@" && ROLLOUT=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    *) refuse_option "$1" ;;
  esac
  shift
done
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
