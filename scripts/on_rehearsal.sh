#!/usr/bin/env bash
# A command with a rehearsal in the place of the user's cluster: on_rehearsal.sh -h
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=parts/start.sh
source "$(dirname "${BASH_SOURCE[0]}")/parts/start.sh"

become midstream on-rehearsal "$@"
