#!/usr/bin/env bash
# Whether a cluster has what a deployment and a test need: a line a finding, each failure with its mend.
set -euo pipefail

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

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/parts/refusal.sh"

gpus=(--gpus 2)
if [ "${OVERLAY:-}" = sim ]; then
  gpus=(--no-gpu)
fi
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    -n | --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    --gpus) need_value "$@" && need_count "$1" "$2" && gpus=(--gpus "$2") && shift ;;
    --no-gpu) gpus=(--no-gpu) ;;
    *) refuse_option "$1" ;;
  esac
  shift
done

. "$here/parts/python.sh"
. "$here/parts/cluster.sh"
need_cluster
midstream cluster --namespace "${NAMESPACE:-llm-serving}" "${CONTEXT_OPTION[@]}" "${gpus[@]}"
