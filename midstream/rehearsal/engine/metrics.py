"""The page of GET /metrics: vLLM's names and labels for the few figures that this engine has."""

from collections.abc import Mapping
from typing import NamedTuple

CONTENT_TYPE = b"text/plain; version=1.0.0; charset=utf-8"
BLOCK_SIZE = 16  # vLLM's usual KV block, in tokens
# `metrics`: each reason is there from the start, at 0.
REASONS = ("stop", "length", "abort", "error", "repetition")


class Snapshot(NamedTuple):
    """The engine's figures at one moment."""

    model: str
    running: int
    waiting: int
    used_blocks: int
    total_blocks: int
    prompt_tokens: int
    generated_tokens: int
    finished: Mapping[str, int]  # by reason


def total_blocks(max_model_len: int, slots: int) -> int:
    """As many KV blocks as full slots can fill: this engine never runs out of them before its slots."""
    return -(-max_model_len // BLOCK_SIZE) * slots


class _Family(NamedTuple):
    name: str
    kind: str  # gauge | counter
    about: str
    samples: tuple[tuple[str, float], ...]  # (labels, value)


def render(now: Snapshot) -> str:
    """The page in Prometheus' text format."""
    return "".join(_text(family) for family in _families(now))


def _text(family: _Family) -> str:
    head = f"# HELP {family.name} {family.about}\n# TYPE {family.name} {family.kind}\n"
    return head + "".join(f"{family.name}{{{labels}}} {value}\n" for labels, value in family.samples)


def _families(now: Snapshot) -> tuple[_Family, ...]:
    model = f'model_name="{now.model}"'
    usual = f'engine="0",{model}'
    usage = now.used_blocks / now.total_blocks
    finished = tuple(
        (f'engine="0",finished_reason="{reason}",{model}', float(now.finished.get(reason, 0)))
        for reason in REASONS
    )
    cache = (
        f'block_size="{BLOCK_SIZE}",engine="0",kv_cache_size_tokens="{now.total_blocks * BLOCK_SIZE}",'
        f'num_gpu_blocks="{now.total_blocks}"'
    )
    return (
        _one(
            "num_requests_running",
            "gauge",
            "Number of requests in model execution batches.",
            usual,
            now.running,
        ),
        _one(
            "num_requests_waiting", "gauge", "Number of requests waiting to be processed.", usual, now.waiting
        ),
        _one("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", usual, usage),
        _one(
            "prompt_tokens_total", "counter", "Number of prefill tokens processed.", usual, now.prompt_tokens
        ),
        _one(
            "generation_tokens_total",
            "counter",
            "Number of generation tokens processed.",
            usual,
            now.generated_tokens,
        ),
        _Family(
            "vllm:request_success_total", "counter", "Count of successfully processed requests.", finished
        ),
        _one("cache_config_info", "gauge", "Information of the LLMEngine CacheConfig", cache, 1),
    )


def _one(name: str, kind: str, about: str, labels: str, value: float) -> _Family:
    return _Family(f"vllm:{name}", kind, about, ((labels, float(value)),))
