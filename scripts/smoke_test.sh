#!/usr/bin/env bash
# Whether the service answers at all: smoke_test.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
usage() {
  cat <<END
usage: smoke_test.sh [--preview] [--namespace NS] [--rollout NAME] [--context C] [OPTION ...]

GET /health is 200, a completion has text, a stream has chunks and [DONE]: of the server TARGET_HOST where
that is set, else of the Rollout's stable Service (--preview: its preview Service).
Every other OPTION is one of: python -m midstream smoke -h (such as --api-key-env NAME, --no-health)

variables: TARGET_HOST, NAMESPACE (llm-serving), ROLLOUT (vllm), CONTEXT, REHEARSAL=1
exit code: 0 all well, 1 a step failed, 2 the command is wrong or no cluster answers, 3 it cannot be known
END
}

read_options namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
need_target
become midstream smoke "${TARGET[@]}" "${WORDS[@]}"
