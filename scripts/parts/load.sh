# How much a plain load is: LOAD_CONCURRENCY, LOAD_DURATION.
# Needs refusal.sh.
# shellcheck shell=bash

LOAD_CONCURRENCY=${LOAD_CONCURRENCY-4}
LOAD_DURATION=${LOAD_DURATION-30}

# need_load: both can be used.
need_load() {
  [[ $LOAD_CONCURRENCY =~ ^[1-9][0-9]{0,5}$ ]] ||
    refuse "LOAD_CONCURRENCY=$LOAD_CONCURRENCY: write how many streams are open at once, such as LOAD_CONCURRENCY=4"
  [[ $LOAD_DURATION =~ ^[1-9][0-9]{0,5}[smh]?$ ]] ||
    refuse "LOAD_DURATION=$LOAD_DURATION: write seconds, minutes or hours, such as LOAD_DURATION=30, 5m or 1h"
}
