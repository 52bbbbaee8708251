"""A rehearsal that stands by itself: one in a folder, found by others, gone when it is taken down."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from midstream.rehearsal import standing
from midstream.rehearsal.launch import ANNOUNCEMENT_FILE

DEADLINE_S = 30


def until_gone(pid: int) -> bool:
    """Its command line is empty once it has ended, also where nobody has asked for its exit code."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_two_at_once_share_one_and_it_ends_with_its_folder(tmp_path) -> None:
    folder = tmp_path / "a folder"
    try:
        with ThreadPoolExecutor(2) as pool:
            (one, first_is_new), (other, other_is_new) = pool.map(standing.start, [folder, folder])
        assert one == other == standing.find(folder)
        assert sorted([first_is_new, other_is_new]) == [False, True]
        pid = int((folder / standing.PID_FILE).read_text())
        assert os.getsid(pid) == pid  # a terminal's Ctrl-C is not for it
    finally:
        ended = standing.end(folder)
    assert ended
    assert until_gone(pid)
    assert not folder.exists()


def test_one_that_was_killed_is_no_rehearsal_and_another_takes_its_place(tmp_path) -> None:
    first, _ = standing.start(tmp_path)
    try:
        pid = int((tmp_path / standing.PID_FILE).read_text())
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE_S
        while standing.find(tmp_path) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert standing.find(tmp_path) is None
        second, is_new = standing.start(tmp_path)
        assert is_new
        assert second.kubeconfig == first.kubeconfig
        assert int((tmp_path / standing.PID_FILE).read_text()) != pid
    finally:
        assert standing.end(tmp_path)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"pid": str(os.getpid()), "lock": "", ANNOUNCEMENT_FILE: "{}"}, id="another's number"),
        pytest.param({"pid": "none", "lock": ""}, id="no number"),
    ],
)
def test_what_a_dead_one_left_is_removed_and_no_other_process_ended(tmp_path, left) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    for name, text in left.items():
        (folder / name).write_text(text)
    assert standing.find(folder) is None
    assert not standing.end(folder)
    assert not folder.exists()
    assert not standing.end(folder)


def test_a_folder_that_cannot_be_made_is_named_with_what_to_type(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(standing.FolderError, match=r"file/folder \(Not a directory\).*REHEARSAL_DIR=FOLDER"):
        standing.start(tmp_path / "file" / "folder")
