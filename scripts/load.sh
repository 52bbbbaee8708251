#!/usr/bin/env bash
# A plain load on the service, no update: load.sh -h
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
# shellcheck source-path=SCRIPTDIR source=parts/load.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/load.sh"
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

OPTIONS=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --concurrency) need_value "$@" && LOAD_CONCURRENCY=$2 && shift ;;
    --duration) need_value "$@" && LOAD_DURATION=$2 && shift ;;
    --namespace) need_value "$@" && NAMESPACE=$2 && shift ;;
    --rollout) need_value "$@" && ROLLOUT=$2 && shift ;;
    --context) need_value "$@" && CONTEXT=$2 && shift ;;
    *) OPTIONS+=("$1") ;;
  esac
  shift
done
need_load
need_url
become locust -f "$ROOT/locustfiles/stream.py" --headless --host "$URL" \
  -u "$LOAD_CONCURRENCY" -r "$LOAD_CONCURRENCY" -t "$LOAD_DURATION" "${OPTIONS[@]}"
