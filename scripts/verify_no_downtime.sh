#!/usr/bin/env bash
# The whole proof, step by step: verify_no_downtime.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
usage() {
  cat <<END
usage: verify_no_downtime.sh [--promote [--image IMAGE | --model MODEL]] [--namespace NS] [--rollout NAME]
                             [--context C] [-- OPTION ...]

Preflight, smoke, load, then the verdict: the thresholds of error rate, 5xx rate and stream completion.
A step that fails ends it.

  --promote      under a promotion: an update is started, promoted under 80 streams, and none may be lost
  --image IMAGE  the update: a new image of container vllm
  --model MODEL  the update: a new model (neither: the pods are replaced by equal ones)
  -- OPTION ...  for the load: locust -f locustfiles/stream.py --help-midstream

variables: PROMOTE=1, IMAGE, MODEL, TARGET_HOST, NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1,
           MAX_ERROR_RATE (5%), MAX_5XX_RATE (2%), MIN_STREAM_COMPLETION (90%);
           without --promote: LOAD_CONCURRENCY (4), LOAD_DURATION (30)
exit code: 0 PASS, 1 FAIL or a step failed, 2 the command is wrong or no cluster answers, 3 INCONCLUSIVE
END
}

PROMOTE=${PROMOTE:-}
IMAGE=${IMAGE:-}
MODEL=${MODEL:-}
read_options promote+PROMOTE image=IMAGE model=MODEL \
  namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
no_more_words

step() {
  printf '\n== %s ==\n' "$1"
}

# The update that --promote makes, as options: UPDATE.
choose_update() {
  if [ -n "$IMAGE" ] && [ -n "$MODEL" ]; then
    refuse "IMAGE and MODEL are two updates: give one of them"
  elif [ -n "$IMAGE" ]; then
    UPDATE=(--trigger set-image --set-image "vllm=$IMAGE")
  elif [ -n "$MODEL" ]; then
    UPDATE=(--trigger set-model --set-model "$MODEL")
  else
    UPDATE=(--trigger same)
  fi
}

smoke() {
  step "2 of 3: smoke"
  midstream smoke "${TARGET[@]}"
}

verify_promotion() {
  choose_update
  need_rollout
  TARGET=(--rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}")
  local options=("${TARGET[@]}" "${UPDATE[@]}")
  if [ -n "${ON_REHEARSAL:-}" ] && [ -z "${MIDSTREAM_PLAN:-}" ]; then
    options+=(--plan "$ROOT/config/plans/rehearsal.yaml") # its streams fit a rehearsal's short drain
  fi
  step "1 of 3: preflight"
  midstream plan "${options[@]}" "$@"
  smoke
  step "3 of 3: load under a promotion, verdict"
  become locust -f "$ROOT/locustfiles/stream.py" --headless "${options[@]}" "$@"
}

verify_plain_load() {
  [ -z "$IMAGE$MODEL" ] || refuse "IMAGE and MODEL make an update: add --promote (make verify PROMOTE=1), or leave them out"
  need_load
  need_target
  step "1 of 3: preflight"
  if [ -n "${TARGET_HOST:-}" ]; then
    echo "TARGET_HOST=$TARGET_HOST: the server alone; no Rollout is looked at"
  else
    midstream status "${TARGET[@]}"
  fi
  smoke
  step "3 of 3: load, verdict"
  exec "$ROOT/scripts/load.sh" "$@"
}

if is_on "$PROMOTE"; then
  verify_promotion "${REST[@]}"
else
  verify_plain_load "${REST[@]}"
fi
