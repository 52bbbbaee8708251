#!/usr/bin/env bash
# The stable Service on this machine, whichever pods stand behind it: port_forward.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
usage() {
  cat <<END
usage: port_forward.sh [--port PORT] [--namespace NS] [--rollout NAME] [--context C]

http://127.0.0.1:PORT (8000) leads to the Rollout's stable Service through the API server: each new connection
to a pod that is ready then, so that it survives a promotion. What stands in front of the Service is passed by,
and a pod's end of a connection comes up to 1 s late. A tunnel that is cut looks like a reset by the server: for a
verdict reach the Service itself. Ctrl-C ends it.

variables: LOCAL_PORT (8000), NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 ended, 2 the command is wrong, no cluster answers or allows it, or the port is taken
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
become midstream forward "$NAMESPACE/$SERVICE" --port "$LOCAL_PORT" "${CONTEXT_OPTION[@]}"
