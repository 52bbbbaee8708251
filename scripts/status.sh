#!/usr/bin/env bash
# What the Rollout is doing: status.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
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

read_options namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
need_rollout
become midstream status --rollout "$NAMESPACE/$ROLLOUT" "${CONTEXT_OPTION[@]}" "${WORDS[@]}"
