# The manifests of an overlay, as one deployment wants them, in files: render.
# Needs refusal.sh, python.sh, cluster.sh.
# shellcheck shell=bash

# need_overlay: OVERLAY is one that there is; sets OVERLAY_FOLDER.
need_overlay() {
  case $OVERLAY in
    base) OVERLAY_FOLDER=$ROOT/k8s/base ;;
    gpu | sim) OVERLAY_FOLDER=$ROOT/k8s/overlays/$OVERLAY ;;
    *) refuse "OVERLAY=$OVERLAY: there is base (your own GPU node), gpu (one small card, shared) and sim (no GPU)" ;;
  esac
}

# render FOLDER: the overlay in NAMESPACE, with IMAGE and MODEL where they are set, as FOLDER/namespace.yaml,
# FOLDER/rollout.yaml, FOLDER/rest.yaml. The repository itself is not written to.
render() {
  _kustomization "$1" >"$1/kustomization.yaml"
  _wanted >"$1/wanted.yaml"
  if ! "${KUBECTL[@]}" kustomize "$1" >"$1/all.yaml" 2>"$1/said"; then
    refuse "the manifests of OVERLAY=$OVERLAY cannot be built: $(tail -n 1 "$1/said")"
  fi
  # kustomize prints documents whose first-level keys stand at the start of a line, `---` between them.
  awk -v folder="$1" '
    function keep() { printf "%s---\n", text >(folder "/" file ".yaml"); text = ""; file = "rest" }
    BEGIN { file = "rest" }
    /^---$/ { keep(); next }
    /^kind: Namespace$/ { file = "namespace" }
    /^kind: Rollout$/ { file = "rollout" }
    { text = text $0 "\n" }
    END { keep() }' "$1/all.yaml"
}

# Over the overlay, by its relative path: kustomize takes no absolute one.
_kustomization() {
  local relative
  relative=$("$PYTHON" -c 'import os, sys; print(os.path.relpath(*map(os.path.realpath, sys.argv[1:])))' \
    "$OVERLAY_FOLDER" "$1")
  echo "apiVersion: kustomize.config.k8s.io/v1beta1"
  echo "kind: Kustomization"
  echo "resources: [$(_quoted "$relative"), wanted.yaml]"
  echo "namespace: $(_quoted "$NAMESPACE")"
  echo "replacements:"
  _replacement image 'spec.template.spec.containers.[name=vllm].image' "$IMAGE"
  _replacement model 'spec.template.spec.containers.[name=vllm].env.[name=MODEL].value' "$MODEL"
}

# _replacement KEY FIELD VALUE: a patch would need the container's number in its list, this goes by its name.
_replacement() {
  [ -z "$3" ] ||
    echo "- {source: {kind: ConfigMap, name: wanted, fieldPath: data.$1}," \
      "targets: [{select: {kind: Rollout}, fieldPaths: ['$2']}]}"
}

# What replacements read; kustomize leaves a local-config object out of what it prints.
_wanted() {
  echo "apiVersion: v1"
  echo "kind: ConfigMap"
  echo "metadata: {name: wanted, annotations: {config.kubernetes.io/local-config: 'true'}}"
  echo "data: {image: $(_quoted "$IMAGE"), model: $(_quoted "$MODEL")}"
}

# As a double-quoted scalar of YAML.
_quoted() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}
