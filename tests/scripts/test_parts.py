"""What every script says of a cluster that is not there: one line, exit code 2."""

import signal
import subprocess

import psutil
import pytest

from tests.scripts.scene import PROJECT, Scene, lines

ON_A_CLUSTER = ["cluster_bootstrap.sh", "verify_cluster.sh"]


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert (done.returncode, done.stdout) == (2, "")
    assert len(lines(done.stderr)) == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("script", ON_A_CLUSTER)
class TestNoCluster:
    def test_no_kubectl(self, script, scene: Scene):
        (scene.bin / "kubectl").unlink()
        said = refused(scene.run(script))
        assert said.startswith(f"{script}: kubectl is not installed: https://kubernetes.io")
        assert "REHEARSAL=1 make" in said

    def test_a_context_that_is_not_there(self, script, scene: Scene):
        scene.write(contexts=["here", "there"])
        said = refused(scene.run(script, "--context", "elsewhere"))
        assert "no context elsewhere in the kubeconfig, which has: here there" in said

    def test_the_context_of_the_environment(self, script, scene: Scene):
        assert "no context elsewhere" in refused(scene.run(script, CONTEXT="elsewhere"))

    def test_a_server_that_does_not_answer(self, script, scene: Scene):
        scene.write(down="E1 memcache.go: refused\n\nThe connection to the server here:1 was refused")
        said = refused(scene.run(script))
        assert "context here does not answer: The connection to the server here:1 was refused" in said

    def test_no_context_at_all(self, script, scene: Scene):
        scene.write(contexts=[], down="nothing on localhost:8080")
        assert "context (none is set) does not answer: nothing on" in refused(scene.run(script))

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--never"], "no option --never: "),
            (["stray"], "no option stray: "),
            (["--namespace"], "--namespace needs a value"),
            (["--namespace="], "--namespace needs a value"),
            (["--context", "--no-gpu"], "--context needs a value"),
        ],
    )
    def test_wrong_words(self, script, words, says, scene: Scene):
        assert refused(scene.run(script, *words)).startswith(f"{script}: {says}")
        assert scene.calls() == []

    def test_help(self, script, scene: Scene):
        done = scene.run(script, "-h")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: scripts/{script}")
        assert "exit code: 0" in done.stdout

    def test_a_python_that_is_not_there(self, script, scene: Scene):
        assert "there is no /no/python" in refused(scene.run(script, MIDSTREAM_PYTHON="/no/python"))

    def test_a_python_that_is_too_old(self, script, scene: Scene):
        scene.program("old", "exit 1")
        said = refused(scene.run(script, MIDSTREAM_PYTHON=str(scene.bin / "old")))
        assert "too old: Midstream needs Python >= 3.11" in said


def test_the_python_beside_no_environment_is_the_one_on_the_path(scene: Scene, tmp_path):
    """As in the image, where no .venv is."""
    copy = tmp_path / "a clone" / "scripts"
    copy.parent.mkdir()
    copy.symlink_to(PROJECT / "scripts")
    scene.program("python3", "exit 0")
    text = f'. "{copy}/parts/refusal.sh"; . "{copy}/parts/python.sh"; echo "$PYTHON"'
    done = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": str(scene.bin), "HOME": str(scene.folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.strip() == "python3"


WAITING = """
source "{parts}/attended.sh"
trap 'end_attended; exit 3' INT TERM
attended bash -c 'echo $$; exec sleep 300'
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_that_waits_for_a_command_ends_with_it_at_a_signal(number):
    """SIGTERM to the script alone was heard only once the command had ended, minutes later."""
    text = WAITING.format(parts=PROJECT / "scripts/parts")
    with subprocess.Popen(["bash", "-euc", text], stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        child = int(script.stdout.readline())
        script.send_signal(number)
        assert script.wait(timeout=60) == 3
        assert not psutil.pid_exists(child)


@pytest.mark.parametrize("code", [0, 1])
def test_the_code_of_what_was_waited_for(code):
    text = f'source "{PROJECT}/scripts/parts/attended.sh"; attended bash -c "exit {code}"'
    assert subprocess.run(["bash", "-euc", text], check=False).returncode == code
