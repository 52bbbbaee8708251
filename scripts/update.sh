#!/usr/bin/env bash
# A new image or model in the Rollout: update.sh -h
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
usage: update.sh [--image IMAGE] [--model MODEL] [--promote | --undo] [--namespace NS] [--rollout NAME] [--context C]
                 [OPTION ...]

Starts the update and waits until the new revision waits in the preview; --promote promotes it, too.
--promote alone promotes the revision that waits there, --undo alone gives it up. No streams are watched: verify_no_downtime.sh does.
Every other OPTION is one of: python -m midstream update -h (such as --wait SECONDS)

variables: IMAGE, MODEL, PROMOTE=1, UNDO=1, NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 well, 1 not, 2 the command is wrong or no cluster answers, 3 it cannot be known
END
}

PROMOTE=${PROMOTE:-}
UNDO=${UNDO:-}
IMAGE=${IMAGE:-}
MODEL=${MODEL:-}
OPTIONS=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --promote) PROMOTE=1 ;;
    --undo) UNDO=1 ;;
    --image) need_value "$@" && IMAGE=$2 && shift ;;
    --model) need_value "$@" && MODEL=$2 && shift ;;
    --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --rollout) need_value "$@" && ROLLOUT=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    *) OPTIONS+=("$1") ;;
  esac
  shift
done
UPDATE=()
[ -z "$IMAGE" ] || UPDATE+=(--set-image "vllm=$IMAGE")
[ -z "$MODEL" ] || UPDATE+=(--set-model "$MODEL")
! is_on "$PROMOTE" || UPDATE+=(--promote)
! is_on "$UNDO" || UPDATE+=(--undo)
[ ${#UPDATE[@]} -gt 0 ] ||
  refuse "an update to what? make update IMAGE=... or MODEL=... (alone: PROMOTE=1 promotes the revision that waits, UNDO=1 gives it up)"
need_rollout
become midstream update --rollout "$NAMESPACE/$ROLLOUT" "${UPDATE[@]}" "${CONTEXT_OPTION[@]}" "${OPTIONS[@]}"
