#!/usr/bin/env bash
# Puts into a cluster what Midstream's manifests need: GPUs to share, Argo Rollouts, the namespace.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"

ARGO_VERSION=${ARGO_VERSION:-v1.9.1}
ARGO_NAMESPACE=argo-rollouts # the release's ClusterRoleBinding names it
ARGO_WAIT_S=${ARGO_WAIT_S:-300}
GPU_WAIT_S=${GPU_WAIT_S:-180}

# shellcheck disable=SC2329 # read_options prints it
usage() {
  cat <<USAGE
usage: scripts/cluster_bootstrap.sh [--share-gpu N | --no-gpu] [--argo-manifest FILE | --argo-version VERSION]
                                    [-n NAMESPACE] [--context CONTEXT]

Installs what is missing, and leaves what is there as it is: a second run changes nothing.
  --share-gpu N          NVIDIA's device plugin offers each card N times (one card for blue and green: 2)
  --no-gpu               no device plugin; so it is with OVERLAY=sim
  --argo-manifest FILE   Argo Rollouts from this file: install.yaml of a release, for a cluster without Internet
  --argo-version V       which release to download (ARGO_VERSION, default $ARGO_VERSION)
  -n, --namespace NAME   to make (NAMESPACE, default llm-serving)
  --context NAME         of the kubeconfig (CONTEXT, default its current one)
ARGO_WAIT_S ($ARGO_WAIT_S) and GPU_WAIT_S ($GPU_WAIT_S): seconds that Argo's controller and the GPUs may take.
exit code: 0 all there, 1 something is not well, 2 the command is wrong or no cluster answers,
           3 it cannot be known (interrupted, not ready in time)
USAGE
}

shares="" no_gpu="" manifest="" code=0
read_options share-gpu=shares no-gpu+no_gpu argo-manifest=manifest argo-version=ARGO_VERSION \
  namespace=NAMESPACE context=CONTEXT -- "$@"
no_more_words
[ -z "$shares" ] || need_count --share-gpu "$shares"
ARGO_VERSION=v${ARGO_VERSION#v}
if [ -n "$shares" ] && [ -n "$no_gpu" ]; then
  refuse "--share-gpu $shares and --no-gpu contradict each other: leave one out"
elif [ -z "$shares" ] && [ "${OVERLAY:-}" = sim ]; then
  no_gpu=1
fi

# A file is an install manifest of Argo Rollouts: it has the kind Rollout, and a controller.
need_argo_manifest() {
  [ -f "$1" ] || refuse "--argo-manifest $1: there is no such file"
  if ! grep -q '^ *name: rollouts\.argoproj\.io' "$1" || ! argo_image "$1" >/dev/null; then
    refuse "--argo-manifest $1 is no manifest of Argo Rollouts: take install.yaml of a release"
  fi
}

argo_image() {
  grep -m 1 -oE 'image: [^ ]*argo-rollouts[:@][^ ]+' "$1"
}

if [ -n "$manifest" ]; then
  need_argo_manifest "$manifest"
fi

need_cluster
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'end_attended; exit 3' INT TERM

# say STATE PART WORDS: a line as `midstream cluster` has them.
say() {
  printf '%-8s %-10s %s\n' "$@"
}

# kube WORDS...: kubectl, whose last words are ours when it fails.
kube() {
  "${KUBECTL[@]}" "$@" 2>"$scratch/words" || refuse "kubectl $1: $(tail -n 1 "$scratch/words")"
}

# look ARGUMENT...: what `midstream cluster` finds, kept for field().
look() {
  local seen=0
  midstream cluster -n "$NAMESPACE" "${CONTEXT_OPTION[@]}" --json "$@" >"$scratch/found" || seen=$?
  [ "$seen" != 2 ] || exit 2 # it has said why
}

# field CHECK NAME: state, words, mend or source of the finding that look() left; nothing where there is none.
field() {
  "$PYTHON" -c '
import json, sys
found = [each for each in json.load(open(sys.argv[1])) if each["check"] == sys.argv[2]]
print("".join(each[sys.argv[3]] for each in found))' "$scratch/found" "$@"
}

# wait_for CHECK SECONDS: until it is well, with progress; else its line, its exit code kept for the end.
wait_for() {
  local ended=0
  attended become midstream cluster -n "$NAMESPACE" "${CONTEXT_OPTION[@]}" "${need[@]}" --check "$1" --wait "$2" \
    >"$scratch/lines" || ended=$?
  tail -n +2 "$scratch/lines" # the first one is the API server's
  remember "$ended"
}

# remember CODE: what is wrong outlives what is unknown, and both outlive 0.
remember() {
  case $code in 0 | 3) [ "$1" = 0 ] || code=$1 ;; esac
}

need=(--gpus "${shares:-1}")
if [ -n "$no_gpu" ]; then
  need=(--no-gpu)
fi
look "${need[@]}" --check gpu --check argo --check namespace
if [ "$(field api source)" = rehearsal ]; then
  say ok api "$(field api words): nothing to install there"
  exit 0
elif [ "$(field api state)" = ok ]; then
  say ok api "$(field api words)"
else
  say FAILED api "$(field api words); mend: $(field api mend)"
  remember 1
fi
# Whatever stands in the way is said before anything is changed.
if [ "$(field namespace state)" = unfit ]; then
  refuse "$(field namespace words): $(field namespace mend)"
fi
for check in argo gpu; do
  if [ "$(field $check state)" = unknown ]; then
    refuse "$check $(field $check words): $(field $check mend)"
  fi
done

# --- GPU
plugin=kube-system/midstream-nvidia-device-plugin
apply_plugin() {
  local shown
  if [ "${shares:-1}" = 1 ]; then
    sed '/# shares$/d' "$ROOT/k8s/device-plugin/device-plugin.yaml" >"$scratch/plugin.yaml"
  else
    sed -E "/# shares\$/s/(replicas: |gpu-shares: \")2/\1$shares/" "$ROOT/k8s/device-plugin/device-plugin.yaml" \
      >"$scratch/plugin.yaml"
  fi
  shown=$(kube apply -f "$scratch/plugin.yaml")
  if grep -qv ' unchanged$' <<<"$shown"; then
    say applied gpu "device plugin $plugin, each card offered ${shares:-1} time(s)"
  else
    say ok gpu "device plugin $plugin, each card offered ${shares:-1} time(s): unchanged"
  fi
}

gpu() {
  local state source whose
  state=$(field gpu state) source=$(field gpu source)
  whose=${source:+; device plugin $source}
  if [ -n "$no_gpu" ]; then
    say ok gpu "left out: no GPU is needed"
  elif [ "$state" = missing ] || { [ "$source" = "$plugin" ] && [ -n "$shares" ]; }; then
    apply_plugin
    wait_for gpu "$GPU_WAIT_S"
  elif [ "$state" = ok ]; then
    say ok gpu "$(field gpu words)$whose: left as it is"
  elif [ "$state" = pending ]; then
    say waiting gpu "$(field gpu words): left as it is"
    wait_for gpu "$GPU_WAIT_S"
  else
    say FAILED gpu "$(field gpu words)${whose:+$whose is left as it is}; mend: $(field gpu mend)"
    remember 1
  fi
}

# --- Argo Rollouts
download_argo() {
  local url=https://github.com/argoproj/argo-rollouts/releases/download/$ARGO_VERSION/install.yaml
  manifest=$scratch/install.yaml
  say get argo "$url"
  command -v curl >/dev/null || refuse "curl is not installed: get $url elsewhere, then --argo-manifest FILE"
  curl -fsSL --connect-timeout 10 --max-time 120 -o "$manifest" "$url" 2>"$scratch/words" ||
    refuse "$(tail -n 1 "$scratch/words") ($url): download it elsewhere, then --argo-manifest FILE"
  need_argo_manifest "$manifest"
}

argo() {
  case $(field argo state) in
    ok) say ok argo "$(field argo words): left as it is" ;;
    missing)
      [ -n "$manifest" ] || download_argo
      make_namespace "$ARGO_NAMESPACE"
      # On the server: the CRD is larger than the annotation of a client's apply may be (256 KiB).
      kube apply -n "$ARGO_NAMESPACE" --server-side -f "$manifest" >/dev/null
      say applied argo "controller in namespace $ARGO_NAMESPACE, $(argo_image "$manifest")"
      wait_for argo "$ARGO_WAIT_S"
      ;;
    pending)
      say waiting argo "$(field argo words): left as it is"
      wait_for argo "$ARGO_WAIT_S"
      ;;
    *)
      say FAILED argo "$(field argo words); it is left as it is; mend: $(field argo mend)"
      remember 1
      ;;
  esac
}

# --- Namespaces
make_namespace() {
  if [ -z "$("${KUBECTL[@]}" get namespace "$1" --ignore-not-found -o name)" ]; then
    # With its configuration saved: a later `kubectl apply` of the same namespace then has nothing to say.
    kube create namespace "$1" --save-config >/dev/null
  fi
}

namespace() {
  if [ "$(field namespace state)" = ok ]; then
    say ok namespace "$NAMESPACE: left as it is"
  else
    # As k8s/base has it: `deploy.sh down` removes what carries this label, the namespace too.
    printf '%s\n' "{apiVersion: v1, kind: Namespace, metadata: {name: $NAMESPACE, labels: {${OURS/=/: }}}}" >"$scratch/ours.yaml"
    kube apply -f "$scratch/ours.yaml" >/dev/null
    say made namespace "$NAMESPACE"
  fi
}

gpu
argo
namespace
exit "$code"
