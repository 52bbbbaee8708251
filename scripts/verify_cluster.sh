#!/usr/bin/env bash
# Whether a cluster has what a deployment and a test need: a line a finding, each failure with its mend.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"

usage() {
  cat <<'USAGE'
usage: scripts/verify_cluster.sh [-n NAMESPACE] [--context CONTEXT] [--gpus N | --no-gpu]

Looks at the API server, nodes, allocatable GPUs, Argo Rollouts, the namespace and RBAC. It changes nothing.
  -n, --namespace NAME   that is deployed to (NAMESPACE, default llm-serving)
  --context NAME         of the kubeconfig (CONTEXT, default its current one)
  --gpus N               GPUs needed (default 2: blue and green)
  --no-gpu               none is needed; so it is with OVERLAY=sim
exit code: 0 all well, 1 a finding, 2 the command is wrong or no cluster answers, 3 it cannot be known
USAGE
}

GPUS="" NO_GPU=""
read_options gpus=GPUS no-gpu+NO_GPU namespace=NAMESPACE context=CONTEXT -- "$@"
no_more_words
if [ -n "$NO_GPU" ] || { [ -z "$GPUS" ] && [ "${OVERLAY:-}" = sim ]; }; then
  gpus=(--no-gpu)
else
  need_count --gpus "${GPUS:=2}"
  gpus=(--gpus "$GPUS")
fi
need_cluster
become midstream cluster --namespace "$NAMESPACE" "${CONTEXT_OPTION[@]}" "${gpus[@]}"
