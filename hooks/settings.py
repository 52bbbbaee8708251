"""All choices of a run, typed."""

from enum import StrEnum
from pathlib import Path

import msgspec

from midstream.arrivals import OpenLoop
from midstream.promotion import Promoter
from midstream.run import Limits
from midstream.streams.access import Access, Header
from midstream.streams.deadlines import Deadlines

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_SCENARIOS = PROJECT / "config" / "scenarios" / "default.yaml"
ROLLOUT_STREAM_SECONDS = 60.0  # where neither a length nor a number of tokens is given


class Mode(StrEnum):
    """What is tested."""

    REHEARSAL = "rehearsal"  # no target named
    ROLLOUT = "rollout"
    PLAIN = "plain"  # --host alone


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All choices of a run. Durations in seconds, shares as fractions."""

    mode: Mode
    host: str | None = None
    rollout: tuple[str, str] | None = None
    context: str | None = None
    preview_host: str | None = None
    model: str | None = None
    api: str = "completions"
    access: Access = Access()
    headers: tuple[Header, ...] = ()
    api_key_env: str | None = None
    api_key_command: str | None = None
    scenario: Path = DEFAULT_SCENARIOS
    dry_run: bool = False
    tokens: int | None = None
    stream_seconds: float | None = None
    kept_share: float = 0.0
    pulse: float = 10.0
    open_loop: OpenLoop | None = None
    sigterm_streams: int = 8
    seed: int = 0
    wind_down_s: float = 120.0
    trigger: str | None = None
    set_image: tuple[str, str] | None = None
    set_model: str | None = None
    set_env: tuple[str, str] | None = None
    set_args: str | None = None
    promoter: Promoter = Promoter.HOOK
    preview_streams: int = 3
    baseline_s: float = 10.0
    baseline_limit_s: float = 120.0
    trigger_limit_s: float | None = None
    preview_limit_s: float = 900.0
    promote_limit_s: float = 3600.0
    cutover_limit_s: float = 60.0
    drain_limit_s: float | None = None
    quiet_limit_s: float = 600.0
    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()
    prove: bool = False
    results: Path = Path("results")
    faults: tuple[str, ...] = ()
    pod_command: str | None = None
    rehearsal: dict[str, int | float] = msgspec.field(
        default_factory=dict
    )  # what the rehearsal itself is built by
    users: int
    spawn_rate: float
    run_time_s: float | None = None
