"""What tests of scripts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.scene import Scene, scene
from tests.scripts.stage import Stage


@pytest.fixture(name="scene")
def _scene(tmp_path: Path) -> Iterator[Scene]:
    """A cluster with one node and nothing else, in a folder with a space in its path."""
    with scene(tmp_path / "the scene") as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Programs that answer from a table, in a folder with a space in its path."""
    return Stage(tmp_path / "a stage")
