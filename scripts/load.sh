#!/usr/bin/env bash
# A plain load on the service, no update: load.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"
usage() {
  cat <<END
usage: load.sh [--concurrency N] [--duration TIME] [--namespace NS] [--rollout NAME] [--context C] [OPTION ...]

Holds N streams at once for TIME on the server TARGET_HOST where that is set, else on the Rollout's stable
Service, and judges them by the three thresholds. No update is made or watched.
Every other OPTION is Locust's or ours: locust -f locustfiles/stream.py --help-midstream

variables: LOAD_CONCURRENCY (4), LOAD_DURATION (30), TARGET_HOST, NAMESPACE (llm-serving), ROLLOUT (vllm),
           CONTEXT, REHEARSAL=1, MAX_ERROR_RATE (5%), MAX_5XX_RATE (2%), MIN_STREAM_COMPLETION (90%)
exit code: 0 PASS, 1 FAIL, 2 the command is wrong or no cluster answers, 3 INCONCLUSIVE
END
}

read_options concurrency=LOAD_CONCURRENCY duration=LOAD_DURATION \
  namespace=NAMESPACE rollout=ROLLOUT context=CONTEXT -- "$@"
need_load
need_url
become locust -f "$ROOT/locustfiles/stream.py" --headless --host "$URL" \
  -u "$LOAD_CONCURRENCY" -r "$LOAD_CONCURRENCY" -t "$LOAD_DURATION" "${WORDS[@]}"
