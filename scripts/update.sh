#!/usr/bin/env bash
# A new image or model in the Rollout: update.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
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
read_options promote+PROMOTE undo+UNDO image=IMAGE model=MODEL \
  namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
UPDATE=()
[ -z "$IMAGE" ] || UPDATE+=(--set-image "vllm=$IMAGE")
[ -z "$MODEL" ] || UPDATE+=(--set-model "$MODEL")
! is_on "$PROMOTE" || UPDATE+=(--promote)
! is_on "$UNDO" || UPDATE+=(--undo)
[ ${#UPDATE[@]} -gt 0 ] ||
  refuse "an update to what? make update IMAGE=... or MODEL=... (alone: PROMOTE=1 promotes the revision that waits, UNDO=1 gives it up)"
need_rollout
become midstream update --rollout "$NAMESPACE/$ROLLOUT" "${UPDATE[@]}" "${CONTEXT_OPTION[@]}" "${WORDS[@]}"
