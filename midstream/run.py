"""One run as data: all that judging may look at, and nothing else."""

from enum import StrEnum

import msgspec

from midstream.arrivals import OpenLoop
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.timeline import Timeline
from midstream.streams.clock import Clocks
from midstream.streams.deadlines import Deadlines
from midstream.streams.record import StreamRecord


class State(StrEnum):
    """The states of a run's script, in order (design 5)."""

    PREFLIGHT = "preflight"
    BASELINE = "baseline"
    TRIGGER = "trigger"
    PREVIEW = "preview"
    PROMOTE = "promote"
    CUTOVER = "cutover"
    DRAIN = "drain"
    QUIET = "quiet"
    DONE = "done"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks compare with; shares are fractions, None switches an optional check off."""

    max_error_rate: float = 0.05  # the seed's MAX_ERROR_RATE
    max_5xx_rate: float = 0.02
    min_stream_completion: float = 0.90
    max_crossing_lost: int = 0
    min_crossing: int = 59  # no loss among 59 bounds the loss rate at 5 % with 95 % confidence (facts 7)
    require_drain: bool = False
    max_blackout_s: float = 1.0  # on new connections
    max_kept_blackout_s: float | None = None  # on kept ones
    max_propagation_s: float = 10.0
    watch_after_s: float = 30.0
    max_ttft_p95_s: float | None = None
    max_gap_s: float | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What one revision runs."""

    revision: str  # pod-template-hash
    images: dict[str, str] = msgspec.field(default_factory=dict)  # container -> image
    digests: dict[str, str] = msgspec.field(default_factory=dict)  # container -> imageID of a pod of it
    command: tuple[str, ...] = ()  # command + args of the serving container


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What was tested, so that a verdict can never be taken for one on something else."""

    target: str  # URL the streams went to
    path: str  # "LoadBalancer 127.20.1.2:80 of Service vllm-stable"
    path_proves_not: str = ""  # "your ingress was not tested"
    rehearsal: bool = False
    api_server: str = ""
    kubernetes: str = ""
    namespace: str = ""
    rollout: str = ""
    old: Image | None = None
    new: Image | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: tuple[str, ...] = ()
    seed: int = 0


class LedgerCount(msgspec.Struct, frozen=True, kw_only=True):
    """The books of the streams: every one opened must be closed or known to be open."""

    opened: int
    closed: int
    still_open: int
    workers_lost: tuple[str, ...] = ()


class PreviewFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What validating the new revision before its promotion showed."""

    fit: bool | None  # None: nothing is known of it
    streams: int = 0
    why: str = ""
    in_doubt: bool = False  # streams came, but their two readers disagree on them


class ControlFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What the negative control showed: throw-away streams whose pod was killed on purpose (--prove)."""

    streams: int = 0  # that flowed when the pod was deleted
    lost: int = 0  # of these, called lost
    pod: str = ""
    why: str = ""  # why nothing was shown; empty where something was lost


class ScriptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Where the script stood when the run stopped."""

    state: State
    reason: str  # why the run stopped, one sentence; empty when the script finished
    finished: bool = False
    interrupted: bool = False  # stopped from outside: -t, Ctrl-C, SIGTERM, UI
    baseline_failed: bool = False
    crash: str = ""  # a part of ours failed; the exception in one line
    next_step: str = ""  # what to do, where the reason itself tells it better than the state


UNNOTED_DELAY_NS = 100_000_000  # our loop can be late by so much before it makes a spell


class LateSpell(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which our own loop was late, by how much."""

    from_ns: int
    to_ns: int

    @property
    def length_ns(self) -> int:
        """How late the loop was at the end of it."""
        return self.to_ns - self.from_ns


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one verdict is computed from. Instants are CLOCK_MONOTONIC ns of the judging machine."""

    subject: Subject
    limits: Limits
    deadlines: Deadlines
    started_ns: int
    stopped_ns: int
    wall_minus_monotonic_ns: int  # wall time = instant + this, for people only
    streams: tuple[StreamRecord, ...]
    ledger: LedgerCount
    script: ScriptEnd
    watches_rollout: bool
    timeline: Timeline = Timeline()
    budget: DrainBudget | None = None  # of the old revision, read before the trigger
    preview: PreviewFinding | None = None
    baseline_ns: tuple[int, int] | None = None  # from every user having a stream to the trigger
    late: tuple[LateSpell, ...] = ()  # in order of time, none overlaps another
    clocks: Clocks = Clocks()  # what dated the streams' bytes
    traits_missing: tuple[str, ...] = ()  # what the server does not show, hence is not demanded
    notes: tuple[str, ...] = ()
    open_loop: OpenLoop | None = None  # None: each user holds one stream after another
    control: ControlFinding | None = None  # None: not asked for, or there was no PASS to be proven
