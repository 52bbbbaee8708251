#!/usr/bin/env bash
# What the Rollout's pods wrote: logs.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
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
read_options follow+FOLLOW lines=LINES_EACH namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
no_more_words
need_count --lines "$LINES_EACH"
rehearse_if_asked
need_cluster
LABELS=$(of_rollout "$POD_LABELS")
PODS=$("${KUBECTL[@]}" -n "$NAMESPACE" get pods -l "$LABELS" -o name) || exit 2
[ -n "$PODS" ] || refuse "the Rollout $NAMESPACE/$ROLLOUT has no pods: make status tells why"
OPTIONS=(-l "$LABELS" --all-containers --prefix --tail "$LINES_EACH" --max-log-requests 50)
! is_on "$FOLLOW" || OPTIONS+=(--follow)
exec "${KUBECTL[@]}" -n "$NAMESPACE" logs "${OPTIONS[@]}"
