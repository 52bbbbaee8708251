from types import SimpleNamespace
from typing import Any, cast

import pytest

from hooks.promotion import Promotion
from hooks.session import keep_session
from hooks.surge import SurgeShape
from midstream.run import State
from tests.hooks.sessions import make_session


class Threefold(SurgeShape):
    factor = 3.0


BEFORE = (State.PREFLIGHT, State.BASELINE, State.TRIGGER)


@pytest.mark.parametrize("state", list(State))
def test_more_users_from_the_new_pods_on(tmp_path, state):
    session = make_session(tmp_path, [], users=80, spawn_rate=20)
    keep_session(session)
    session.promotion = cast(Promotion, SimpleNamespace(state=state))
    shape = Threefold()
    shape.runner = cast(Any, SimpleNamespace(environment=session.environment))
    assert shape.tick() == (80 if state in BEFORE else 240, 20)


def test_a_plain_load_has_no_surge(tmp_path):
    session = make_session(tmp_path, [], users=4, spawn_rate=4)
    keep_session(session)
    shape = Threefold()
    shape.runner = cast(Any, SimpleNamespace(environment=session.environment))
    assert shape.tick() == (4, 4)
