"""A data plane that is late: what new connections reach, on a clock that the test moves."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from midstream.rehearsal.network import Lag, Network, cut_routes, late_by, service_of
from midstream.rehearsal.proxy import Cut, Route

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
LISTEN = ("127.1.1.2", 80)
OLD, NEW = (("127.1.1.32", 8000),), (("127.1.1.33", 8000),)
STABLE, PREVIEW = "ns/vllm:http", "ns/vllm-preview:http"


class Seen:
    """One Service behind a data plane that is so late."""

    def __init__(self, late_s: float) -> None:
        self.late_s, self.lag = late_s, Lag()

    def at(self, second: float, endpoints: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        now = NOON + timedelta(seconds=second)
        routes = self.lag.seen({STABLE: Route(LISTEN, endpoints)}, {STABLE: self.late_s}, now)
        return routes[STABLE].endpoints


def test_a_change_is_followed_late_and_its_moment_is_told() -> None:
    seen = Seen(4)
    assert seen.at(0, OLD) == OLD
    assert seen.lag.due() is None
    assert seen.at(10, NEW) == OLD
    assert seen.lag.due() == NOON + timedelta(seconds=14)
    assert seen.at(13.9, NEW) == OLD
    assert seen.at(14, NEW) == NEW
    assert seen.lag.due() is None


def test_the_first_endpoints_are_never_late() -> None:
    seen = Seen(4)
    assert seen.at(0, ()) == ()
    assert seen.at(1, OLD) == OLD


def test_changes_in_a_row_each_come_after_their_time() -> None:
    seen = Seen(4)
    seen.at(0, OLD)
    seen.at(10, NEW)
    seen.at(12, ())
    assert seen.at(14, ()) == NEW
    assert seen.at(16, ()) == ()


def test_a_data_plane_that_never_follows_has_nothing_due() -> None:
    seen = Seen(math.inf)
    seen.at(0, OLD)
    assert seen.at(10, NEW) == OLD
    assert seen.lag.due() is None
    assert seen.at(10_000, ()) == OLD


def test_without_lag_all_is_followed_at_once() -> None:
    seen = Seen(0)
    assert [seen.at(0, OLD), seen.at(0, NEW), seen.at(0, ())] == [OLD, NEW, ()]


def test_what_is_wrong_with_one_service_leaves_the_others() -> None:
    routes = {STABLE: Route(LISTEN, OLD), PREVIEW: Route(LISTEN, NEW)}
    networks = [
        Network(service="vllm", late_s=2, max_age_s=8),
        Network(service="vllm", late_s=1, cut_at_switch=True),
        Network(service="elsewhere", late_s=9, max_age_s=1),
    ]
    assert late_by(networks, routes) == {STABLE: 2, PREVIEW: 0}
    cut = cut_routes(routes, networks)
    assert cut == {STABLE: Route(LISTEN, OLD, Cut(moved=True, max_age_s=8)), PREVIEW: Route(LISTEN, NEW)}


@pytest.mark.parametrize("name", ["ns/vllm:http", "ns/vllm:"])
def test_a_routes_name_tells_its_service(name) -> None:
    assert service_of(name) == "vllm"
