"""The load shape of a surge: more users while the new revision is brought in."""

from locust import LoadTestShape

from hooks.session import Session, session_of
from midstream.run import State

_SURGE_IN = (State.PREVIEW, State.PROMOTE, State.CUTOVER, State.DRAIN, State.QUIET, State.DONE)


class SurgeShape(LoadTestShape):
    """-u users until the new pods come up, `factor` times as many from then on.

    They stay to the end of the test: users that Locust takes away would be cut in mid-stream.
    """

    abstract = True
    use_common_options = True  # -u, -r, -t stay the command's
    factor = 2.0

    def tick(self) -> tuple[int, float]:
        """(users, users begun a second) at present; Locust asks every second."""
        assert self.runner is not None  # Locust sets it before it asks
        session = session_of(self.runner.environment)
        users = session.settings.users
        return (round(users * self.factor) if _surges(session) else users), session.settings.spawn_rate


def _surges(session: Session) -> bool:
    return session.promotion is not None and session.promotion.state in _SURGE_IN
