"""The image without an engine to build it: what it is given, what its parts need, what the targets call."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

import midstream

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
LIMIT_S = 120


class Copied(NamedTuple):
    """A COPY line that takes a path of the clone to one below /midstream."""

    source: str
    target: str


def instructions() -> Iterator[str]:
    """Each on one line, without comments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    yield from (line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line)


def copied() -> list[Copied]:
    lines = [words[1:] for line in instructions() if (words := line.split())[0] == "COPY"]
    from_clone = [words for words in lines if not words[0].startswith("--from")]
    return [
        Copied(source, words[-1] if len(words) == 2 and words[-1] != "./" else Path(source).name)
        for words in from_clone
        for source in words[:-1]
    ]


def sent(path: Path) -> bool:
    """Whether .dockerignore lets a file of the clone through: the last pattern that fits it decides.

    For the three kinds of pattern that the file has; a folder's pattern fits all that is below it.
    """
    result = True
    for pattern in IGNORED:
        keeps, name = pattern.startswith("!"), pattern.removeprefix("!")
        assert name == "*" or name.startswith("**/") or not re.search(r"[*?\[]", name), f"unknown: {pattern}"
        paths = [path, *path.parents[:-1]]
        fits = (
            any(fnmatchcase(part, name[3:]) for part in path.parts)
            if name.startswith("**/")
            else any(name in ("*", str(each)) for each in paths)
        )
        result = keeps if fits else result
    return result


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory) -> Path:
    """/midstream as the build would make it of this clone."""
    folder: Path = tmp_path_factory.mktemp("image") / "midstream"
    folder.mkdir()
    for source, target in copied():
        files = [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*")
        for file in (each for each in files if each.is_file() and sent(each.relative_to(ROOT))):
            to = folder / target / file.relative_to(ROOT / source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
    return folder


def run_there(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """With the packages of this Python, and no word of this clone."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


IMPORT_ALL = """
import locust, pathlib, sys
modules = [p for top in ("midstream", "hooks") for p in sorted(pathlib.Path(top).rglob("*.py"))]
for path in modules:
    if path.stem != "__main__":
        __import__(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
here = str(pathlib.Path.cwd())
ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("midstream", "hooks")]
assert all(module.__file__.startswith(here) for module in ours), ours
print(len(modules))
"""


def test_every_module_in_the_image_finds_what_it_imports(image_folder):
    done = run_there(image_folder, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(
        1
        for top in ("midstream", "hooks")
        for path in (ROOT / top).rglob("*.py")
        if "__pycache__" not in path.parts
    )


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "locust", "-f", "locustfiles/stream.py", "--help-rehearsal"),
        ("-m", "locust", "-f", "locustfiles/surge.py", "--help-midstream"),
        ("-m", "midstream.rehearsal.engine", "--help"),
        ("-m", "midstream", "--help"),
    ],
    ids=lambda command: " ".join(command[1:]),
)
def test_each_part_starts_from_what_the_image_holds(image_folder, command):
    done = run_there(image_folder, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_all_files_of_what_is_copied_are_in_the_image(image_folder):
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", *(each.source for each in copied())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("not a git clone")
    names = tracked.stdout.rstrip("\0").split("\0")
    assert len(names) > 100
    assert [name for name in names if not sent(Path(name))] == []


@pytest.mark.parametrize(
    "name", [".git/config", ".env", "kubeconfig", "results/x/streams.jsonl", "k8s/secret.yaml"]
)
def test_nothing_else_of_a_clone_is_sent_to_the_builder(name):
    assert not sent(Path(name))


def test_no_byte_code_of_this_machine_is_sent():
    assert not sent(Path("midstream/__pycache__/verdict.cpython-311.pyc"))


def test_all_that_is_sent_is_copied():
    named = {name.removeprefix("!") for name in IGNORED if name.startswith("!")}
    assert named == {Path(each.source).parts[0] for each in copied()}


def test_the_image_tells_the_version_of_the_code():
    said = re.search(r'image\.version="([^"]+)"', DOCKERFILE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert said is not None
    assert said[1] == midstream.__version__ == project["version"]


def test_the_last_stage_is_the_base_image_with_another_user():
    stages = [line for line in instructions() if line.startswith("FROM ")]
    assert stages[-1] == "FROM python:3.11-slim"
    last = list(instructions())
    last = last[len(last) - last[::-1].index(stages[-1]) :]
    assert "USER 10001:10001" in last
    assert not [line for line in last if "apt-get" in line or "pip install" in line]


TERM_ME = """
import os, runpy, sys, time
if sys.argv[2] == "first":
    os.getpid = lambda: 1
runpy.run_path(sys.argv[1])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("place", "code"), [("first", 128 + signal.SIGTERM), ("other", -signal.SIGTERM)])
def test_sigterm_ends_a_program_that_has_no_handler_yet(place, code):
    """PID 1 by the handler, which the kernel would not do; any other as ever."""
    command = [sys.executable, "-c", TERM_ME, str(ROOT / "image/sitecustomize.py"), place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == code
        finally:
            process.kill()


STUB = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\n[ "$1" != "$REFUSED" ]\n'


def make(tmp_path: Path, *arguments: str, tools: tuple[str, ...], refused: str = "") -> tuple[int, str, str]:
    """`make` with stub tools before all others; its exit code, its messages, what was called."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    calls.touch()
    for name in tools:
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    for name in ("sh", "bash", "git", "basename", "uname", "env"):
        (folder / name).symlink_to(shutil.which(name) or name)
    environment = {"PATH": str(folder), "CALLS": str(calls), "REFUSED": refused}
    done = subprocess.run(
        [shutil.which("make") or "make", "-s", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    return done.returncode, "\n".join(said), calls.read_text()


@pytest.mark.parametrize(
    ("arguments", "tag"),
    [
        (["image"], "midstream:local"),
        (["image", "IMAGE=registry.example/team/midstream:7"], "registry.example/team/midstream:7"),
    ],
    ids=["its own name", "a name given"],
)
def test_make_image_builds_the_clone_under_a_name(tmp_path, arguments, tag):
    code, said, calls = make(tmp_path, *arguments, tools=("docker",))
    assert (code, said) == (0, "")
    assert f"docker build --tag {tag} --build-arg REVISION=" in calls
    assert calls.endswith(" .\n")


def test_make_image_minikube_loads_what_was_built(tmp_path):
    code, _, calls = make(tmp_path, "image-minikube", "IMAGE=a:1", tools=("docker", "minikube"))
    assert code == 0
    assert calls.splitlines()[-1] == "minikube image load a:1"
    assert any(line.startswith("docker build --tag a:1 ") for line in calls.splitlines())


def test_make_image_minikube_loads_nothing_when_the_build_failed(tmp_path):
    code, _, calls = make(tmp_path, "image-minikube", tools=("docker", "minikube"), refused="build")
    assert code == 2
    assert "minikube" not in calls


@pytest.mark.parametrize(
    ("arguments", "tools", "refused", "said"),
    [
        (["image"], (), "", "make image needs docker: "),
        (["image"], ("docker",), "version", "docker has no engine that answers"),
        (["image-minikube"], ("docker",), "", "make image-minikube needs minikube: "),
        (["test-cluster"], (), "", "add KUBECONFIG=FILE"),
        (["test-cluster", "KUBECONFIG="], (), "", "add KUBECONFIG=FILE"),
    ],
    ids=["no docker", "no engine", "no minikube", "no cluster named", "an empty name of a cluster"],
)
def test_what_a_target_misses_is_one_line(tmp_path, arguments, tools, refused, said):
    code, message, _ = make(tmp_path, *arguments, tools=tools, refused=refused)
    assert code == 2
    assert said in message
    assert len(message.splitlines()) == 1
