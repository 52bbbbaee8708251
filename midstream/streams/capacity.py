"""How many tokens a server's KV cache holds, read from vLLM's /metrics."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from midstream.streams.probe import AnswerSource
from midstream.streams.target import Target

CONFIG = "vllm:cache_config_info"
USED = "vllm:kv_cache_usage_perc"  # of vLLM since 0.9; a share, whatever its name says
RUNNING = "vllm:num_requests_running"
_TOLD = frozenset({CONFIG, USED, RUNNING})
_SAMPLE = re.compile(
    r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)"
)  # Prometheus' text format: NAME{LABELS} VALUE
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class KvCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """The KV cache of one pod, that of all its engines together."""

    tokens: int
    block_tokens: int  # a stream takes whole blocks
    used: float = 0.0  # share in use while we have no stream
    running: int = 0  # streams of others at that moment

    @property
    def free_tokens(self) -> int:
        """What others leave."""
        return int(self.tokens * (1 - self.used))


class _Sample(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float


def kv_capacity(reactor: AnswerSource, target: Target, timeout_s: float = 5.0) -> KvCapacity | None:
    """Ask for /metrics, beside /v1 as in vLLM; None where it is not told. A Service lets one pod answer."""
    path = f"{target.prefix.removesuffix('/v1')}/metrics"
    try:
        status, body = reactor.ask(target, "GET", path, timeout_s)
    except (OSError, ValueError):
        return None
    return read_capacity(body.decode(errors="replace")) if status == 200 else None


def read_capacity(page: str) -> KvCapacity | None:
    """The capacity that a page tells; None when an engine on it does not.

    vLLM 0.32 tells kv_cache_size_tokens; before, blocks x their size. One sample an engine (data parallel).
    """
    samples = list(_samples(page))
    engines = [_engine(sample.labels) for sample in samples if sample.name == CONFIG]
    told = [engine for engine in engines if engine is not None]
    if not told or len(told) < len(engines):
        return None
    used = [sample.value for sample in samples if sample.name == USED and 0 <= sample.value <= 1]
    return KvCapacity(
        tokens=sum(tokens for tokens, _ in told),
        block_tokens=max(block for _, block in told),
        used=sum(used) / len(used) if used else 0.0,
        running=int(sum(sample.value for sample in samples if sample.name == RUNNING)),
    )


def _samples(page: str) -> Iterator[_Sample]:
    for line in page.splitlines():
        found = _SAMPLE.match(line)
        if found is None or found[1] not in _TOLD:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if abs(value) < float("inf"):
            yield _Sample(found[1], dict(_LABEL.findall(found[2] or "")), value)


def _engine(labels: Mapping[str, str]) -> tuple[int, int] | None:
    """(tokens, tokens a block) of one engine."""
    block = _count(labels.get("block_size"))
    blocks = _count(labels.get("num_gpu_blocks"))
    tokens = _count(labels.get("kv_cache_size_tokens")) or (blocks or 0) * (block or 0)
    return (tokens, block) if tokens and block else None


def _count(text: str | None) -> int | None:
    """A whole number above 0; vLLM writes "None" for what it does not know."""
    return int(text) if text is not None and re.fullmatch(r"[1-9]\d{0,17}", text) else None
