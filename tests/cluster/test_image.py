"""The image as built by the Dockerfile: what it holds, what it needs, how it ends."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.commands import Ended, run

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "12345")
QUICK = ("-e", "MIDSTREAM_PLAN=config/plans/quick.yaml")
BUILD_TOOLS = "gcc cc g++ make ld pip pip3"
STARTED_WITHIN_S = 60.0
KILLED_AFTER_S = 10  # docker stop's own default


@pytest.fixture
def container(built_image) -> Iterator[str]:
    """A name for one container, which is gone afterwards."""
    name = f"midstream-test-{time.monotonic_ns()}"
    yield name
    run("docker", "rm", "--force", name)


def in_image(image: str, *command: str, options: tuple[str, ...] = ()) -> Ended:
    return run("docker", "run", "--rm", *options, image, *command)


def wait_for_log(container: str, words: str) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while words not in run("docker", "logs", container).out:
        assert time.monotonic() < deadline, run("docker", "logs", container).said
        time.sleep(0.2)


def test_any_user_rehearses_with_a_read_only_root_and_no_capability(built_image):
    ended = in_image(built_image, options=(*HARDENED, "--tmpfs", "/tmp", *QUICK))
    assert ended.code == 0, ended.said
    assert "PASS (rehearsal: nothing of yours was tested)" in ended.out


def test_without_a_place_to_write_one_line_says_so(built_image):
    ended = in_image(built_image, options=HARDENED)
    assert ended.code == 2, ended.said
    ours = [line for line in ended.err.splitlines() if line.startswith("midstream: ")]
    assert ours == [
        "midstream: results cannot be written to /tmp/results: Read-only file system. "
        "Name another folder: --results DIR"
    ]


def test_a_stop_reaches_the_test_which_still_judges(built_image, container):
    options = ("--detach", "--name", container, *QUICK, "-e", "MIDSTREAM_WIND_DOWN=2")
    assert run("docker", "run", *options, built_image).code == 0
    wait_for_log(container, "baseline: ")
    assert run("docker", "stop", "--time", "60", container).code == 0
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", container).out == "3\n"
    told = run("docker", "logs", container).out
    assert "stopped by SIGTERM" in told
    assert "INCONCLUSIVE" in told


def test_a_stop_ends_a_program_without_a_handler_at_once(built_image, container):
    forever = "import time; print('started'); time.sleep(600)"
    run("docker", "run", "--detach", "--name", container, built_image, "python", "-c", forever)
    wait_for_log(container, "started")
    stopped = run("docker", "stop", "--time", str(KILLED_AFTER_S), container)
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", container).out == "143\n"
    assert stopped.seconds < KILLED_AFTER_S


def test_there_is_nothing_in_it_to_build_or_install_with(built_image):
    ended = in_image(
        built_image, "sh", "-c", f"for tool in {' '.join(BUILD_TOOLS)}; do command -v $tool; done"
    )
    assert ended.out == "", ended.said
    assert in_image(built_image, "python", "-c", "import pip").code == 1


def test_its_user_is_a_number_and_no_file_of_the_code_can_be_written(built_image):
    user = run("docker", "inspect", "--format", "{{.Config.User}}", built_image).out.strip()
    assert user == "10001:10001"
    writable = in_image(built_image, "find", "/midstream", "/opt/venv", "-writable", "-not", "-type", "l")
    assert (writable.code, writable.out) == (0, ""), writable.said


def test_byte_code_of_all_that_starts_is_there(built_image):
    """Else each start compiles it anew: nothing can be kept on a read-only root."""
    loaded = """import sys, midstream.rehearsal.command, locust, kubernetes, pathlib
specs = [spec for module in list(sys.modules.values()) if (spec := getattr(module, "__spec__", None))]
print([spec.name for spec in specs if spec.cached and not pathlib.Path(spec.cached).exists()])"""
    ended = in_image(built_image, "python", "-c", loaded)
    assert (ended.code, ended.out) == (0, "[]\n"), ended.said


@pytest.mark.parametrize(
    "command",
    [
        ("python", "-m", "midstream", "smoke", "--help"),
        ("python", "-m", "midstream.rehearsal.engine", "--help"),
        ("locust", "-f", "/midstream/locustfiles/stream.py", "--help-midstream"),
    ],
    ids=["judge", "engine", "load generator"],
)
def test_each_part_starts_from_any_folder(built_image, command):
    ended = in_image(built_image, *command, options=(*HARDENED, "--workdir", "/"))
    assert ended.code == 0, ended.said
