#!/usr/bin/env bash
# The engine in the cluster, and out of it again: deploy.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
# shellcheck source-path=SCRIPTDIR source=parts/overlay.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/overlay.sh"
usage() {
  cat <<END
usage: deploy.sh up|down [--overlay base|gpu|sim] [--image IMAGE] [--model MODEL] [--namespace NS]
                 [--context C] [--timeout SECONDS]

up    namespace, configuration and Services, then the Rollout; waits until it is healthy. Where it runs with
      another image or model, that is an update: it ends when the new revision waits for its promotion.
      One engine at a time: pods of a former deployment are waited for.
down  the Rollout, then all else of ours; the namespace too where it is ours and holds nothing of others

  --overlay  base: your own GPU node; gpu: one small card, shared by both revisions; sim: no GPU
  --image    of container vllm, in the place of the overlay's
  --model    in the place of the overlay's
  --timeout  of the whole (900)

variables: OVERLAY (base), IMAGE, MODEL, NAMESPACE (llm-serving), CONTEXT, REHEARSAL=1
exit code: 0 well, 1 it does not become healthy, 2 the command is wrong or no cluster answers, 3 timeout or
           interrupted
END
}

LOOK_EVERY_S=2
TELL_EVERY_S=10
OVERLAY=${OVERLAY:-base}
IMAGE=${IMAGE:-}
MODEL=${MODEL:-}
TIMEOUT_S=900
read_options overlay=OVERLAY image=IMAGE model=MODEL timeout=TIMEOUT_S \
  namespace=NAMESPACE context=CONTEXT -- "$@"
case "${WORDS[*]}" in
  up | down) VERB=${WORDS[0]} ;;
  "") refuse "say up or down: deploy.sh -h" ;;
  *) refuse_option "${WORDS[*]}" ;;
esac
need_count --timeout "$TIMEOUT_S"
need_overlay
DEADLINE=$(($(date +%s) + TIMEOUT_S))

up() {
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  need_argo
  render "$WORK"
  ROLLOUT=$(sed -n '/^metadata:/,/^[^ ]/s/^  name: //p' "$WORK/rollout.yaml")
  local state
  state=$(namespace_state)
  [ "$state" != terminating ] ||
    refuse "namespace $NAMESPACE is being deleted: wait until kubectl get namespace $NAMESPACE finds none, then again"
  local changes=yes
  if [ "$state" != absent ] && ! rollout_changes; then
    changes=
  fi
  [ -z "$changes" ] || refuse_under_way
  echo "Deploying OVERLAY=$OVERLAY to namespace $NAMESPACE:"
  if [ "$state" != "of others" ]; then # down would take it for ours
    apply "$WORK/namespace.yaml"
  fi
  apply "$WORK/rest.yaml"
  if [ -n "$changes" ]; then
    wait_for_former_pods
    apply "$WORK/rollout.yaml"
  else
    echo "  rollout.argoproj.io/$ROLLOUT unchanged"
  fi
  attended become midstream status --rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}" --wait "$(seconds_left)"
  tell_addresses
}

need_argo() {
  local kinds
  kinds=$("${KUBECTL[@]}" api-resources --api-group=argoproj.io -o name 2>/dev/null) || true
  grep -qx rollouts.argoproj.io <<<"$kinds" || refuse "the cluster has no Argo Rollouts: make bootstrap installs it"
}

# absent, terminating, ours, or of others
namespace_state() {
  local found
  found=$(kubectl_or_exit get namespace "$NAMESPACE" --ignore-not-found \
    -o jsonpath='{.status.phase}/{.metadata.labels.app\.kubernetes\.io/part-of}')
  case $found in
    "") echo absent ;;
    Terminating/*) echo terminating ;;
    */midstream) echo ours ;;
    *) echo "of others" ;;
  esac
}

# What kubectl refuses ends the script in kubectl's own words.
kubectl_or_exit() {
  "${KUBECTL[@]}" "$@" || exit 2
}

kubectl_here() {
  kubectl_or_exit -n "$NAMESPACE" "$@"
}

apply() {
  [ ! -s "$1" ] || kubectl_here apply -f "$1" | sed 's/^/  /'
}

# Whether applying the Rollout would change what it asks for, by what the API server would make of it.
rollout_changes() {
  kubectl_here get rollouts.argoproj.io "$ROLLOUT" --ignore-not-found -o json >"$WORK/live.json" || exit
  kubectl_here apply --dry-run=server -f "$WORK/rollout.yaml" -o json >"$WORK/wanted.json" || exit
  ! python_module midstream.rollouts.same_spec "$WORK/live.json" "$WORK/wanted.json"
}

rollout_field() {
  kubectl_here get rollouts.argoproj.io "$ROLLOUT" --ignore-not-found -o jsonpath="{$1}"
}

# The revision that waits or comes up beside the one that serves; one that was aborted is no longer under way.
revision_under_way() {
  local serves latest
  serves=$(rollout_field .status.stableRS) || exit
  latest=$(rollout_field .status.currentPodHash) || exit
  if [ -n "$serves" ] && [ "$serves" != "$latest" ] && [ "$(rollout_field .status.abort)" != true ]; then
    echo "$latest"
  fi
}

refuse_under_way() {
  local revision
  revision=$(revision_under_way)
  [ -z "$revision" ] ||
    refuse "an update of Rollout $NAMESPACE/$ROLLOUT is under way (revision $revision): promote it by make$(same_namespace) update PROMOTE=1, or give it up by make$(same_namespace) update UNDO=1; then again"
}

# Beside what serves, only the new engine may need a GPU: every other pod of the Rollout has to be gone.
wait_for_former_pods() {
  local labels serves
  labels=$(kubectl_here apply --dry-run=client -f "$WORK/rollout.yaml" -o go-template="$POD_LABELS")
  serves=$(rollout_field .status.stableRS)
  if [ -n "$serves" ]; then
    until_gone "the former revision" pods -l "$labels,rollouts-pod-template-hash!=$serves"
  elif [ -z "$(rollout_field .metadata.name)" ]; then
    until_gone "the former deployment" pods -l "$labels"
  fi
}

# until_gone WHOSE GET...: wait until `kubectl get GET` finds none, and say what is waited for.
until_gone() {
  local whose=$1 left told=
  local next_words=0
  shift
  while true; do
    left=$(kubectl_here get "$@" -o name)
    [ -n "$left" ] || return 0
    if [ "$left" != "$told" ] || [ "$(date +%s)" -ge "$next_words" ]; then
      echo "  waiting for the end of $whose: $(paste -s -d ' ' - <<<"$left")"
      told=$left
      next_words=$(($(date +%s) + TELL_EVERY_S))
    fi
    if [ "$(seconds_left)" -le 0 ]; then
      echo "deploy.sh: still there after $TIMEOUT_S s (--timeout): $(paste -s -d ' ' - <<<"$left")" >&2
      exit 3
    fi
    sleep "$LOOK_EVERY_S"
  done
}

seconds_left() {
  echo $((DEADLINE - $(date +%s)))
}

same_namespace() {
  [ "$NAMESPACE" = llm-serving ] || echo " NAMESPACE=$NAMESPACE"
}

tell_addresses() {
  local make
  make="make$(same_namespace)"
  tell_address stable "$(rollout_field .spec.strategy.blueGreen.activeService)"
  tell_address preview "$(rollout_field .spec.strategy.blueGreen.previewService)" --preview
  if [ -n "$(revision_under_way)" ]; then
    echo "The new revision waits in the preview: $make update PROMOTE=1 promotes it."
  else
    echo "Next: $make smoke, $make load, $make verify PROMOTE=1, $make update IMAGE=... or MODEL=..., $make down"
  fi
}

# tell_address NAME SERVICE [--preview]
tell_address() {
  local url
  url=$(midstream path --rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}" "${@:3}" 2>/dev/null) ||
    url="http://$2.$NAMESPACE.svc:8000 inside the cluster; from here: $make port-forward"
  printf '  %-8s %s\n' "$1" "$url"
}

down() {
  local state
  state=$(namespace_state)
  if [ "$state" = absent ]; then
    echo "Nothing to do: there is no namespace $NAMESPACE."
    return
  fi
  if [ "$state" != terminating ]; then
    list_kinds
    delete_rollouts
    delete_rest
    if ! namespace_may_go "$state"; then
      return
    fi
    kubectl_or_exit delete namespace "$NAMESPACE" --wait=false --ignore-not-found | sed 's/^/  /'
  fi
  until_gone "the namespace" namespaces --field-selector "metadata.name=$NAMESPACE"
  echo "Nothing is left of the deployment, namespace $NAMESPACE included."
}

# KINDS: every kind of object that a person puts into a namespace, but for those that others make of them;
# ALL_KINDS: empty where a part of the API does not answer, so that some may be missing.
list_kinds() {
  local found
  ALL_KINDS=yes
  found=$("${KUBECTL[@]}" api-resources --namespaced --verbs=list,delete -o name 2>/dev/null) || ALL_KINDS=
  KINDS=$(grep -vE '^(events(\.events\.k8s\.io)?|endpoints|endpointslices\.discovery\.k8s\.io)$' <<<"$found" |
    paste -s -d , -)
}

# Before the Services: Argo reports a Rollout without them as degraded.
delete_rollouts() {
  local names name labels
  grep -q 'rollouts\.argoproj\.io' <<<"$KINDS" || return 0
  names=$(kubectl_here get rollouts.argoproj.io -l "$OURS" -o name)
  for name in $names; do
    labels=$(kubectl_here get "$name" -o go-template="$POD_LABELS")
    # In the foreground: the Rollout itself stays until its pods are gone.
    kubectl_here delete "$name" --cascade=foreground --wait=false | told_deleted
    until_gone "the pods" pods -l "$labels"
  done
  until_gone "the Rollout" rollouts.argoproj.io -l "$OURS"
}

delete_rest() {
  kubectl_here delete "$KINDS" -l "$OURS" --wait=false | told_deleted
  until_gone "the rest" "$KINDS" -l "$OURS"
}

told_deleted() {
  sed -e '/^No resources found/d' -e 's/^/  /'
}

# namespace_may_go STATE: it is ours, and nothing of others is in it; else this says why it stays.
namespace_may_go() {
  local left
  if [ "$1" != ours ]; then
    echo "Nothing of the deployment is left; namespace $NAMESPACE stays: it is not ours (no label $OURS)."
    return 1
  fi
  if [ -z "$ALL_KINDS" ]; then
    echo "Nothing of the deployment is left; namespace $NAMESPACE stays: a part of the API does not answer (kubectl api-resources), so it may hold what others made."
    return 1
  fi
  # These two are made in every namespace, and come back.
  left=$(kubectl_here get "$KINDS" -l "${OURS/=/!=}" -o name |
    { grep -vxE 'configmap/kube-root-ca.crt|serviceaccount/default' || true; } | paste -s -d ' ' -) || exit 2
  if [ -n "$left" ]; then
    echo "Nothing of the deployment is left; namespace $NAMESPACE stays, for it holds what others made: $left"
    return 1
  fi
}

stopped() {
  end_attended
  echo "deploy.sh: stopped waiting; what was begun goes on in the cluster: make status" >&2
  exit 3
}
trap stopped INT TERM
if [ -n "${ON_REHEARSAL:-}" ]; then
  refuse "a rehearsal deploys itself: on_rehearsal.sh up"
elif is_on "${REHEARSAL:-}"; then
  [ "$VERB" = down ] || [ -z "$IMAGE$MODEL" ] || refuse "a rehearsal has an image of its own: leave IMAGE and MODEL out"
  exec "$ROOT/scripts/on_rehearsal.sh" "$VERB"
fi
need_cluster
"$VERB"
