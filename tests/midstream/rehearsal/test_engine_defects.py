"""What the engine does wrong on purpose: whom it meets, from when on, for how long."""

import signal

import pytest

from midstream.rehearsal.engine.defects import OTHER_LABEL, Defects
from midstream.rehearsal.engine.options import parse
from midstream.rehearsal.engine.refusal import Refusal
from tests.midstream.rehearsal.engine_process import PATHS, Engine, engine, get, post, wait_until
from tests.midstream.rehearsal.engine_wire import Wire, head, ids, shapes

USAGE = {"include_usage": True, "continuous_usage_stats": True}
FIELDS = {"max_tokens": 8, "stream_options": USAGE, "return_token_ids": True, "seed": 1}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def answers(defects: Defects, count: int) -> str:
    """What so many requests meet: "x" a refusal, "." none."""
    met = ""
    for _ in range(count):
        try:
            defects.refuse()
        except Refusal:
            met += "x"
        else:
            met += "."
    return met


@pytest.mark.parametrize(
    ("arguments", "met"),
    [
        pytest.param("", "......", id="no defect"),
        pytest.param("--refuse 503", "xxxxxx", id="all"),
        pytest.param("--refuse 500 --refuse-share 0.5", ".x.x.x", id="every second"),
        pytest.param("--refuse 429 --refuse-share 0.34", "..x..x", id="a third"),
        pytest.param("--refuse 503 --from-usr1", "......", id="not begun"),
    ],
)
def test_a_share_of_the_requests_is_refused(arguments: str, met: str) -> None:
    assert answers(Defects(parse(arguments.split(), {})), 6) == met


def test_refusals_end_after_their_time_which_begins_once() -> None:
    clock = Clock()
    defects = Defects(parse(["--refuse", "503", "--refuse-seconds", "5", "--from-usr1"], {}), clock)
    clock.now_s += 100
    defects.begin()
    clock.now_s += 4.9
    defects.begin()
    assert answers(defects, 2) == "xx"
    clock.now_s += 0.1
    assert answers(defects, 2) == ".."


@pytest.mark.parametrize(
    ("status", "kind", "begins"),
    [
        pytest.param("429 Too Many Requests", "text/plain", b"local_rate_limited", id="Envoy's rate limit"),
        pytest.param("500 Internal Server Error", "application/json", b'{"error":{', id="vLLM's dead engine"),
        pytest.param("503 Service Unavailable", "text/plain", b"upstream connect error", id="Envoy's 503"),
    ],
)
@pytest.mark.parametrize("api", PATHS)
def test_a_refusal_has_the_bytes_of_its_sender(api: str, status: str, kind: str, begins: bytes) -> None:
    with engine("--refuse", status[:3]) as running:
        wire = running.ask(api)
        assert wire.status == f"HTTP/1.1 {status}"
        assert ("content-type", kind) in wire.headers
        assert "x-request-id" not in dict(wire.headers)
        assert wire.chunks[0].startswith(begins)
        assert running.exchange(get("/health")).status == "HTTP/1.1 200 OK"


@pytest.fixture(scope="module")
def sound() -> dict[str, Wire]:
    with engine() as running:
        return {api: running.ask(api, **FIELDS) for api in PATHS}


def damaged(damage: str, api: str) -> Wire:
    with engine("--damage", damage) as running:
        return running.ask(api, **FIELDS)


def is_whole_to_the_eye(wire: Wire) -> bool:
    """finish_reason, full usage, [DONE] and a sound end of the body."""
    *_, last, closing = wire.events
    finish = last["choices"][0]["finish_reason"]
    used = closing["usage"]["completion_tokens"]
    return (finish, used, wire.is_done, wire.ended, wire.rest) == ("length", 8, True, True, b"")


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize(
    ("damage", "positions"),
    [
        pytest.param("repeat", [0, 1, 2, 3, 3, 4, 5, 6, 7], id="an event comes twice"),
        pytest.param("drop", [0, 1, 2, 4, 5, 6, 7], id="an event is missing"),
    ],
)
def test_tokens_are_damaged_in_the_middle_alone(
    sound: dict[str, Wire], api: str, damage: str, positions: list[int]
) -> None:
    wire = damaged(damage, api)
    whole = [part for part in ids(sound[api]) if part]
    assert [part for part in ids(wire) if part] == [whole[position] for position in positions]
    assert head(wire) == head(sound[api])
    assert is_whole_to_the_eye(wire)


@pytest.mark.parametrize("api", PATHS)
def test_from_the_middle_on_the_label_is_another(sound: dict[str, Wire], api: str) -> None:
    wire = damaged("mix", api)
    labels = [event["model"] for event in wire.events]
    mixed = labels.index(OTHER_LABEL)
    assert labels == ["rev-abc"] * mixed + [OTHER_LABEL] * (len(labels) - mixed)
    assert 1 < mixed < len(labels) - 2
    assert ids(wire) == ids(sound[api])
    assert len(shapes(wire)) == len(shapes(sound[api]))
    assert is_whole_to_the_eye(wire)


@pytest.mark.parametrize("interval", [1, 3, 5, 8])
def test_one_event_is_lost_however_many_tokens_an_event_holds(interval: int) -> None:
    with engine("--damage", "drop", "--stream-interval", str(interval)) as running:
        wire = running.ask("completions", **FIELDS)
    with engine("--stream-interval", str(interval)) as running:
        whole = running.ask("completions", **FIELDS)
    at_end_alone = interval == 8  # the token in the middle comes with the last event, which stays whole
    assert len(whole.events) - len(wire.events) == (0 if at_end_alone else 1)
    assert is_whole_to_the_eye(wire)


def test_a_signal_begins_it_and_sound_answers_come_before() -> None:
    def status(running: Engine) -> str:
        return running.exchange(post("completions")).status

    with engine("--refuse", "503", "--from-usr1") as running:
        assert status(running) == "HTTP/1.1 200 OK"
        running.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "503" in status(running))
