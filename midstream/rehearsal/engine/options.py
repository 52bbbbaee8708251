"""The engine's command line, with vLLM's names where vLLM has the option."""

import argparse
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

EXTRA_ARGS = "MIDSTREAM_ENGINE_ARGS"


class OnSigterm(StrEnum):
    """What open streams meet at SIGTERM when no time to drain is given."""

    ABORT = "abort"  # vLLM, 9 runs of 21 (facts 2)
    HANG = "hang"  # vLLM, 10 runs of 21
    ERROR = "error"  # vLLM, 2 runs of 21
    CUT = "cut"  # other servers


class Damage(StrEnum):
    """What happens to a stream in its middle, although its end looks whole."""

    REPEAT = "repeat"  # an event comes twice
    DROP = "drop"  # an event is missing
    MIX = "mix"  # the events from there on carry another label


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How one engine serves."""

    host: str
    port: int
    model: str
    served_names: tuple[str, ...]
    max_model_len: int
    max_num_seqs: int
    stream_interval: int
    shutdown_timeout_s: float
    tokens_per_second: float
    ttft_s: float
    load_s: float
    on_sigterm: OnSigterm
    seed: str  # texts follow from it
    garbage: bool
    ping_s: float  # 0: no comments
    stale_keep_alive: bool
    refuse: int | None  # the status
    refuse_share: float  # of the requests
    refuse_s: float
    damage: Damage | None
    from_usr1: bool


def parse(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """The options in the arguments, then in the image's own. Exits with 2 on a wrong one."""
    given = _parser().parse_args([*argv, *shlex.split(environ.get(EXTRA_ARGS, ""))])
    names = tuple(given.served_model_name or [given.model])
    return Options(
        host=given.host,
        port=given.port,
        model=given.model,
        served_names=names,
        max_model_len=given.max_model_len,
        max_num_seqs=given.max_num_seqs,
        stream_interval=given.stream_interval,
        shutdown_timeout_s=given.shutdown_timeout,
        tokens_per_second=given.tokens_per_second,
        ttft_s=given.ttft_seconds,
        load_s=given.load_seconds,
        on_sigterm=OnSigterm(given.on_sigterm),
        seed=names[0] if given.seed is None else given.seed,
        garbage=given.garbage,
        ping_s=given.ping_seconds,
        stale_keep_alive=given.stale_keep_alive,
        refuse=given.refuse,
        refuse_share=given.refuse_share,
        refuse_s=given.refuse_seconds,
        damage=None if given.damage is None else Damage(given.damage),
        from_usr1=given.from_usr1,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream.rehearsal.engine",
        description="A model server without a model: on the wire like vLLM 0.32, text from a seed.",
        epilog=f"The environment variable {EXTRA_ARGS} holds further arguments, which come last and so win: "
        "an image of the rehearsal brings its own. Without ignore_eos a text may end by itself, about once "
        "in 515 tokens.",
        allow_abbrev=False,
    )
    like_vllm = parser.add_argument_group("as in vLLM")
    add = like_vllm.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=_port, default=8000, help="0: any free one, which the log names")
    add("--model", default="midstream/rehearsal", help="its name, where --served-model-name gives none")
    add("--served-model-name", nargs="+", metavar="NAME", help="the first stands in every event as `model`")
    add("--max-model-len", type=_count, default=8192, metavar="TOKENS")
    add("--max-num-seqs", type=_count, default=256, metavar="N", help="streams at once; others wait")
    add("--stream-interval", type=_count, default=1, metavar="TOKENS", help="tokens to an event")
    add(
        "--shutdown-timeout",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long open streams may go on after SIGTERM; 0: not at all",
    )
    own = parser.add_argument_group("its own")
    add = own.add_argument
    add("--tokens-per-second", type=_rate, default=20.0, metavar="RATE", help="of each stream")
    add("--ttft-seconds", type=_seconds, default=0.05, metavar="SECONDS", help="from a slot to token 1")
    add("--load-seconds", type=_seconds, default=0.0, metavar="SECONDS", help="before the port is bound")
    add(
        "--on-sigterm",
        choices=[how.value for how in OnSigterm],
        default=OnSigterm.ABORT.value,
        help="what open streams meet with --shutdown-timeout 0 (cut is no behaviour of vLLM)",
    )
    add("--seed", help="texts follow from it and the prompt; by default the first served name")
    add("--garbage", action="store_true", help="healthy, but each answer's JSON is cut in the middle")
    add(
        "--ping-seconds",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="from one comment line of a stream to the next; 0: none",
    )
    add(
        "--stale-keep-alive",
        action="store_true",
        help="a kept connection is closed just as its next request comes",
    )
    _add_defects(parser.add_argument_group("its defects, which /health does not show"))
    return parser


def _add_defects(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--refuse",
        type=int,
        choices=[429, 500, 503],
        help="answer with it: 429 as Envoy's rate limit, 500 as vLLM with a dead engine, 503 as Envoy "
        "without an upstream",
    )
    add("--refuse-share", type=_share, default=1.0, metavar="SHARE", help="of the requests, evenly spread")
    add("--refuse-seconds", type=_seconds, default=math.inf, metavar="SECONDS", help="and no longer")
    add(
        "--damage",
        choices=[damage.value for damage in Damage],
        help="in the middle of each stream an event comes twice, or is missing, or the `model` changes; its "
        "end is that of a whole one",
    )
    add("--from-usr1", action="store_true", help="they begin when SIGUSR1 comes, not at the start")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no length of time")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share of a whole")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no rate")
    return number
