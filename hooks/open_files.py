"""How many files this process may hold open: each stream is one."""

import resource

from hooks.layers import UsageError
from hooks.pulses import MOST_OPEN
from hooks.settings import Mode, Settings

RESERVE = 200  # the process itself: its modules, logs, watches of the API server, the web UI


def allow_open_files(settings: Settings) -> None:
    """Raise the soft limit as far as the test needs; UsageError where the hard one is lower."""
    pulses = MOST_OPEN if settings.pulse and settings.mode is not Mode.PLAIN else 0
    most_open = settings.open_loop.most_open if settings.open_loop else settings.users
    most_streams = most_open + settings.sigterm_streams + settings.preview_streams + pulses
    needed = most_streams + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _holds(soft, needed):
        return
    if not _holds(hard, needed):
        raise UsageError(
            f"{most_streams} streams at once need {needed} open files, this process may have {hard}: raise "
            f"the limit (ulimit -Hn {needed}) or lower -u to {max(1, settings.users - (needed - hard))}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _holds(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
