# kubectl of one context, with its API server answering: need_cluster sets KUBECTL and CONTEXT_OPTION.
# Needs refusal.sh.
# shellcheck shell=bash

# The label of every object that is ours, as a selector.
# shellcheck disable=SC2034 # for the scripts that source this
OURS=app.kubernetes.io/part-of=midstream
REHEARSE="REHEARSAL=1 make ... rehearses on this machine"
API_ANSWER_S=5

# need_cluster: reads CONTEXT (the kubeconfig's context, default its current one). It sets
#   KUBECTL         what to type for kubectl: "${KUBECTL[@]}" get pods
#   CONTEXT_OPTION  the same choice for `midstream`: midstream status "${CONTEXT_OPTION[@]}" ...
# or says in one line what is missing, exit code 2.
need_cluster() {
  command -v kubectl >/dev/null ||
    refuse "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/ (no cluster? $REHEARSE)"
  KUBECTL=(kubectl)
  CONTEXT_OPTION=()
  if [ -n "${CONTEXT:-}" ]; then
    _need_context
    KUBECTL+=(--context "$CONTEXT")
    # shellcheck disable=SC2034 # for the scripts that source this
    CONTEXT_OPTION=(--context "$CONTEXT")
  fi
  local words
  if ! words=$("${KUBECTL[@]}" version --request-timeout="${API_ANSWER_S}s" 2>&1 >/dev/null); then
    # kubectl logs each attempt before it says, in its last line, what is wrong
    words=$(grep -v '^$' <<<"$words" | tail -n 1)
    refuse "context $(_context) does not answer: ${words:-kubectl says nothing} (no cluster? $REHEARSE)"
  fi
}

_context() {
  echo "${CONTEXT:-$(kubectl config current-context 2>/dev/null || echo "(none is set)")}"
}

_need_context() {
  local known
  known=$(kubectl config get-contexts -o name 2>/dev/null | paste -s -d ' ' -)
  case " $known " in
    *" $CONTEXT "*) ;;
    *) refuse "there is no context $CONTEXT in the kubeconfig, which has: ${known:-none} (no cluster? $REHEARSE)" ;;
  esac
}
