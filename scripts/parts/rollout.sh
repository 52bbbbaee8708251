# The Rollout that a script is about, or the server or rehearsal in its place: NAMESPACE, ROLLOUT, TARGET.
# Needs refusal.sh, python.sh, cluster.sh, rehearsal.sh.
# shellcheck shell=bash

NAMESPACE=${NAMESPACE:-llm-serving}
ROLLOUT=${ROLLOUT:-vllm}

# Of a Rollout or its manifest, as a go-template: the labels that its pods have, as a selector.
# shellcheck disable=SC2016,SC2034 # the variables are the template's; for the scripts that source this
POD_LABELS='{{range $name, $value := .spec.selector.matchLabels}}{{$name}}={{$value}},{{end}}rollouts-pod-template-hash'

# need_rollout: a cluster answers, or this refuses; sets CONTEXT_OPTION. A rehearsal answers, and needs no kubectl.
need_rollout() {
  CONTEXT_OPTION=()
  rehearse_if_asked
  if [ -z "${ON_REHEARSAL:-}" ]; then
    need_cluster
  fi
}

# need_target: sets TARGET to the server TARGET_HOST where that is set, else to the Rollout, as options.
need_target() {
  rehearse_if_asked
  if [ -n "${TARGET_HOST+set}" ]; then
    [ -n "$TARGET_HOST" ] ||
      refuse "TARGET_HOST is empty: give the server's URL, such as http://localhost:8000, or leave it out"
    TARGET=(--host "$TARGET_HOST")
    return
  fi
  need_rollout
  # shellcheck disable=SC2034 # for the scripts that source this
  TARGET=(--rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}")
}

# need_url: sets URL to TARGET_HOST, else to the way to the Rollout's stable Service.
need_url() {
  need_target
  if [ -n "${TARGET_HOST:-}" ]; then
    URL=$TARGET_HOST
  else
    # shellcheck disable=SC2034 # for the scripts that source this
    URL=$(midstream path "${TARGET[@]}") || exit
  fi
}

# of_rollout TEMPLATE: what kubectl's go-template reads of the Rollout. Needs need_cluster.
of_rollout() {
  "${KUBECTL[@]}" -n "$NAMESPACE" get rollouts.argoproj.io "$ROLLOUT" -o go-template="$1" 2>/dev/null ||
    refuse "there is no Rollout $ROLLOUT in namespace $NAMESPACE: make up, or name it by NAMESPACE=... ROLLOUT=..."
}
