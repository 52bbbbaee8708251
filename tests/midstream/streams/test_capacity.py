"""What a page of metrics tells of the KV cache: a captured one of vLLM 0.32, others, none."""

import pytest

from midstream.rehearsal.engine import metrics
from midstream.streams.capacity import KvCapacity, kv_capacity, read_capacity
from midstream.streams.target import Target
from tests.midstream.rehearsal.engine_wire import capture

PAGE = b"".join(capture("metrics").chunks).decode()
BEFORE_032 = (
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",num_gpu_blocks="1234",x="a\\"}b"} 1.0\n'
)
TWO_ENGINES = """\
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="2000"} 1.0
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="2000"} 1.0
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 0.1
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
"""
TOLD = {
    "vLLM 0.32": (PAGE, KvCapacity(tokens=1_048_576, block_tokens=128)),
    "a vLLM before": (BEFORE_032, KvCapacity(tokens=1234 * 16, block_tokens=16)),
    "two engines": (TWO_ENGINES, KvCapacity(tokens=64_000, block_tokens=16, used=0.3, running=5)),
    "the rehearsal's engine": (
        metrics.render(
            metrics.Snapshot(
                model="m",
                running=2,
                waiting=0,
                used_blocks=25,
                total_blocks=100,
                prompt_tokens=0,
                generated_tokens=0,
                finished={},
            )
        ),
        KvCapacity(tokens=1600, block_tokens=16, used=0.25, running=2),
    ),
}
NOT_TOLD = {
    "nothing": "",
    "another server's": "http_requests_total 5\n",
    "HTML": "<html>vllm:cache_config_info</html>",
    "not known yet": 'vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0\n',
    "one engine of two": TWO_ENGINES.replace("2000", "None", 1),
    "no size": 'vllm:cache_config_info{num_gpu_blocks="12"} 1.0\n',
    "no number": 'vllm:cache_config_info{block_size="16",num_gpu_blocks="12"} many\n',
}


@pytest.mark.parametrize(("page", "capacity"), TOLD.values(), ids=TOLD)
def test_a_page_tells(page, capacity):
    assert read_capacity(page) == capacity


@pytest.mark.parametrize("page", NOT_TOLD.values(), ids=NOT_TOLD)
def test_a_page_does_not_tell(page):
    assert read_capacity(page) is None


def test_what_others_use_is_not_free():
    assert KvCapacity(tokens=1000, block_tokens=16, used=0.25).free_tokens == 750


class Server:
    """Answers one question, or fails."""

    def __init__(self, answer: tuple[int, bytes] | Exception) -> None:
        self.answer = answer
        self.paths: list[str] = []

    def ask(self, target: Target, method: str, path: str, timeout_s: float) -> tuple[int, bytes]:
        self.paths.append(f"{method} {path}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("url", "path"),
    [("http://h:1", "/metrics"), ("http://h:1/v1", "/metrics"), ("http://h:1/team/v1", "/team/metrics")],
)
def test_the_page_stands_beside_v1(url, path):
    server = Server((200, BEFORE_032.encode()))
    assert kv_capacity(server, Target.parse(url)) is not None
    assert server.paths == [f"GET {path}"]


UNANSWERED = {
    "no page": (404, b"not found"),
    "a key is wanted": (401, b""),
    "an error with a page": (500, PAGE.encode()),
    "no text": (200, b"\xff\xfe"),
    "silence": TimeoutError("did not answer"),
    "no HTTP": ValueError("no HTTP"),
}


@pytest.mark.parametrize("answer", UNANSWERED.values(), ids=UNANSWERED)
def test_a_server_that_does_not_tell_is_left_alone(answer):
    assert kv_capacity(Server(answer), Target.parse("http://h:1")) is None
