"""What `make fuzz` runs: properties alone, with fresh examples, for as long as told."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROPERTIES = """
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=5)
@given(st.integers(0, 10**12))
def test_holds(number):
    with open("seen", "a") as seen:
        print(number, file=seen)


@settings(max_examples=5)
@given(st.integers())
def test_fails(number):
    assert not Path("broken").exists()


def test_is_no_property():
    raise AssertionError("must not run")
"""


@pytest.fixture
def fuzz(tmp_path):
    """Fuzz properties like those of this folder in a folder of their own."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_some.py").write_text(PROPERTIES)

    def run(seconds: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--fuzz-seconds", seconds],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}], ids=["at a desk", "in a pipeline"])
def test_properties_run_on_with_fresh_examples(fuzz, tmp_path, environ):
    started = time.monotonic()
    ended = fuzz("3", **environ)
    assert ended.returncode == 0, ended.stdout
    assert time.monotonic() - started >= 3
    assert "2 passed, 1 deselected" in ended.stdout
    seen = (tmp_path / "seen").read_text().split()
    assert len(set(seen)) > 10  # two rounds of five could not show so many
    assert "rounds of properties were over" in ended.stdout


def test_a_property_that_does_not_hold_fails_the_run(fuzz, tmp_path):
    (tmp_path / "broken").touch()
    ended = fuzz("0.5")
    assert ended.returncode == 1
    assert "@reproduce_failure" in ended.stdout
