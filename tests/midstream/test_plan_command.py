"""`python -m midstream plan` is the locust command with --dry-run."""

import sys

import pytest

from midstream import plan_command
from midstream.plan_command import LOCUSTFILE, locust_command, main

START = [sys.executable, "-m", "locust"]
COMMANDS = {
    "options as they are": (
        ["--host", "http://h", "-u", "4"],
        [*START, "-f", str(LOCUSTFILE), "--headless", "--dry-run", "--host", "http://h", "-u", "4"],
    ),
    "a locustfile of one's own": (["-f", "my.py"], [*START, "--headless", "--dry-run", "-f", "my.py"]),
    "by its long name": (
        ["--locustfile=my.py"],
        [*START, "--headless", "--dry-run", "--locustfile=my.py"],
    ),
}


@pytest.mark.parametrize(("argv", "command"), COMMANDS.values(), ids=COMMANDS)
def test_the_command(argv, command):
    assert locust_command(argv) == command
    assert LOCUSTFILE.is_file()


def test_it_takes_the_place_of_this_process():
    executed = []
    assert main(["-u", "4"], lambda path, command: executed.append((path, command))) == 0
    assert executed == [(sys.executable, locust_command(["-u", "4"]))]


def test_its_help_names_the_page_of_all_options(capsys):
    assert main(["--help"], lambda *_: pytest.fail("it must not run")) == 0
    assert "--help-midstream" in capsys.readouterr().out


def test_a_missing_locust_is_said(monkeypatch, capsys):
    monkeypatch.setattr(plan_command, "find_spec", lambda _: None)
    assert main([], lambda *_: pytest.fail("it must not run")) == 2
    assert "pip install -r requirements.txt" in capsys.readouterr().err
