#!/usr/bin/env bash
# What the Rollout's pods wrote: logs.sh -h
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
usage: logs.sh [--follow] [--lines N] [--namespace NS] [--rollout NAME] [--context C]

The last N lines (200) of every pod of the Rollout, old and new revision, each with the pod's name.

variables: FOLLOW=1, NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 well, 2 the command is wrong, no cluster answers, or there is no such Rollout
END
}

FOLLOW=${FOLLOW:-}
LINES_EACH=200
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --follow) FOLLOW=1 ;;
    --lines) need_value "$@" && need_count --lines "$2" && LINES_EACH=$2 && shift ;;
    --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --rollout) need_value "$@" && ROLLOUT=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    *) refuse_option "$1" ;;
  esac
  shift
done
rehearse_if_asked
need_cluster
LABELS=$(of_rollout "$POD_LABELS")
PODS=$("${KUBECTL[@]}" -n "$NAMESPACE" get pods -l "$LABELS" -o name) || exit 2
[ -n "$PODS" ] || refuse "the Rollout $NAMESPACE/$ROLLOUT has no pods: make status tells why"
OPTIONS=(-l "$LABELS" --all-containers --prefix --tail "$LINES_EACH" --max-log-requests 50)
! is_on "$FOLLOW" || OPTIONS+=(--follow)
exec "${KUBECTL[@]}" -n "$NAMESPACE" logs "${OPTIONS[@]}"
