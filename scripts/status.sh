#!/usr/bin/env bash
# What the Rollout is doing: status.sh -h
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
usage: status.sh [--namespace NS] [--rollout NAME] [--context C] [OPTION ...]

The Rollout's phase, its revisions with their pods and what holds them up, where each Service leads.
Every other OPTION is one of: python -m midstream status -h (such as --wait SECONDS)

variables: NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 healthy or waiting for its promotion, 1 not, 2 the command is wrong or no cluster answers,
           3 it cannot be known
END
}

OPTIONS=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --rollout) need_value "$@" && ROLLOUT=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    *) OPTIONS+=("$1") ;;
  esac
  shift
done
need_rollout
become midstream status --rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}" "${OPTIONS[@]}"
