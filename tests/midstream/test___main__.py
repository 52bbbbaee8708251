"""The dispatcher: an unknown command and a missing package are told with what to type."""

import subprocess
import sys

import pytest

from midstream.__main__ import COMMANDS, main


@pytest.mark.parametrize(
    ("argv", "said"), [([], "usage:"), (["nope"], "no command 'nope'")], ids=["none", "unknown"]
)
def test_without_a_known_command_it_lists_them_and_ends_with_2(argv, said, capsys) -> None:
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert said in printed
    for name in COMMANDS:
        assert name in printed


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    script = """
import sys
sys.modules["uvicorn"] = None
from midstream.__main__ import main
sys.exit(main(["rehearsal", "--help"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "midstream rehearsal needs the package uvicorn: pip install -r requirements.txt\n"


def test_ctrl_c_before_a_command_has_its_own_way_to_end_is_one_line(monkeypatch, capsys) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    assert main(["rehearsal"]) == 3
    assert capsys.readouterr().err == "midstream rehearsal: interrupted\n"
