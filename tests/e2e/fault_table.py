"""What each fault of the rehearsal must lead to, row by row."""

from typing import NamedTuple

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
EXIT_CODES = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}


class Found(NamedTuple):
    """One row; its name is that of its fault, where `faults` does not name others."""

    name: str
    verdict: str
    words: str  # within the verdict's sentence
    causes: frozenset[str] = frozenset()  # all that are told, but for what only pools of connections meet
    endings: frozenset[str] = frozenset()  # of all main streams that were lost or refused
    perhaps: frozenset[str] = frozenset()  # endings that are a matter of moments
    faults: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    always: bool = False  # a whole run in every `make test`; the others in `make faults`

    @property
    def fault_names(self) -> tuple[str, ...]:
        """The faults that are rehearsed together."""
        return self.faults or (self.name,)


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


_CROSSING_LOST = "crossing streams were lost"

ROWS: tuple[Found, ...] = (
    Found(
        "no-shutdown-timeout",
        FAIL,
        _CROSSING_LOST,
        causes=_set("no_shutdown_timeout"),
        endings=_set("aborted"),
        always=True,
    ),
    Found(
        "clean-cut",
        FAIL,
        _CROSSING_LOST,
        causes=_set("no_drain"),
        endings=_set("ended_early"),
        always=True,
    ),
    Found(
        "short-grace",
        FAIL,
        _CROSSING_LOST,
        causes=_set("grace_too_short"),
        endings=_set("truncated"),
        always=True,
    ),
    Found(
        "hang-at-sigterm", FAIL, _CROSSING_LOST, causes=_set("no_shutdown_timeout"), endings=_set("stalled")
    ),
    Found(
        "error-event", FAIL, _CROSSING_LOST, causes=_set("no_shutdown_timeout"), endings=_set("error_event")
    ),
    Found(
        "shutdown-timeout-short",
        FAIL,
        _CROSSING_LOST,
        causes=_set("shutdown_timeout_short"),
        endings=_set("stalled"),
    ),
    Found("prestop-missing", FAIL, _CROSSING_LOST, causes=_set("prestop_missing"), endings=_set("stalled")),
    Found("shell-pid1", FAIL, _CROSSING_LOST, causes=_set("shell_pid1"), endings=_set("truncated")),
    Found(
        "grace-below-prestop",
        FAIL,
        _CROSSING_LOST,
        causes=_set("grace_below_prestop"),
        endings=_set("truncated"),
    ),
    Found(
        "shutdown-timeout-short-and-lost-tokens",
        FAIL,
        _CROSSING_LOST,
        causes=_set("shutdown_timeout_short", "tokens_dropped"),
        endings=_set("stalled", "short"),
        faults=("shutdown-timeout-short", "lost-tokens"),
    ),
    Found("renamed-model", FAIL, "404 Not Found", causes=_set("new_revision_unfit")),
    Found("slow-tokens", PASS, "crossing streams survived"),
    Found("comment-pings", PASS, "crossing streams survived"),
    Found("stale-keep-alive", PASS, "crossing streams survived", options=("--kept-share", "25%")),
    Found("no-capacity", INCONCLUSIVE, "Insufficient nvidia.com/gpu", options=("--preview-limit", "8")),
    Found("promote-ignored", INCONCLUSIVE, "promotion", always=True),
    Found("bad-preview", FAIL, "new revision unfit", causes=_set("new_revision_unfit"), always=True),
    Found(
        "cut-at-switch",
        FAIL,
        _CROSSING_LOST,
        causes=_set("cut_at_switch"),
        endings=_set("reset"),
        always=True,
    ),
    Found(
        "scale-down-too-soon",
        FAIL,
        "could not be reached",
        causes=_set("sent_to_ended_pods"),
        endings=_set("http_5xx"),
    ),
    Found(
        "slow-propagation",
        FAIL,
        "still reached by new connections",
        causes=_set("late_data_plane"),
        options=("--max-propagation", "2", "--rehearsal-scale-down-delay", "8"),
    ),
    Found(
        "router-ignores-service",
        FAIL,
        "could not be reached",
        causes=_set("router_ignores_service"),
        endings=_set("http_5xx"),
        perhaps=_set("reset_before_headers", "connect_refused"),
        options=("--max-propagation", "2"),
    ),
    Found(
        "proxy-timeout",
        FAIL,
        "streams lost or refused",
        causes=_set("common_age"),
        endings=_set("truncated"),
        options=("--stream-seconds", "10", "--watch-after", "14"),
    ),
    Found(
        "crash-mid-stream",
        FAIL,
        "could not be reached",
        causes=_set("container_died"),
        endings=_set("truncated", "connect_refused"),
        perhaps=_set("reset_before_headers"),
    ),
    Found("switched-back", FAIL, "back to the old revision", causes=_set("switched_back")),
    Found("degraded-before-switch", INCONCLUSIVE, "Degraded before the cutover"),
    Found("aborted-by-analysis", INCONCLUSIVE, 'Metric "error-rate" assessed Failed'),
    Found("second-cutover", INCONCLUSIVE, "Service switched again"),
    Found("api-away", INCONCLUSIVE, "went unwatched", options=("--cutover-limit", "30"), always=True),
    Found("slow-client", INCONCLUSIVE, "the load generator was too slow"),
    Found(
        "slow-client-and-no-shutdown-timeout",
        FAIL,
        _CROSSING_LOST,
        causes=_set("no_shutdown_timeout"),
        endings=_set("aborted"),
        faults=("slow-client", "no-shutdown-timeout"),
        always=True,
    ),
    Found("never-scaled-down", INCONCLUSIVE, "scaleDownDelaySeconds is 0"),
    Found("watch-expired", PASS, "crossing streams survived"),
    Found("controller-restart", PASS, "crossing streams survived"),
    Found(
        "cold-preview",
        FAIL,
        "could not be reached",
        causes=_set("not_warm"),
        endings=_set("http_5xx"),
        always=True,
    ),
    Found(
        "rate-limited-after",
        FAIL,
        "streams lost or refused",
        causes=_set("rate_limited"),
        endings=_set("http_429"),
    ),
    Found(
        "mixed-revision",
        FAIL,
        "streams lost or refused",
        causes=_set("upstream_changed"),
        endings=_set("mixed_revision"),
    ),
    Found(
        "repeated-tokens",
        FAIL,
        "streams lost or refused",
        causes=_set("tokens_repeated"),
        endings=_set("repeated"),
    ),
    Found(
        "lost-tokens",
        FAIL,
        "streams lost or refused",
        causes=_set("tokens_dropped"),
        endings=_set("short"),
        always=True,
    ),
    Found("cold-start", PASS, "crossing streams survived"),
    Found(
        "cold-start-with-a-limit",
        FAIL,
        "at the 95th percentile",
        causes=_set("slow_first_tokens"),
        faults=("cold-start",),
        options=("--max-ttft-p95", "0.3"),
    ),
    Found(
        "baseline-broken",
        INCONCLUSIVE,
        "the service failed before anything was triggered",
        causes=_set("before_the_update"),
        endings=_set("http_5xx"),
    ),
    Found("proxy-timeout-in-baseline", PASS, "crossing streams survived"),
)
BY_NAME = {row.name: row for row in ROWS}
