import itertools
import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from midstream.reports import results
from midstream.reports.results import ResultsError, open_results, write_results, write_summary
from tests.midstream.builders import run
from tests.midstream.reports.recorded import failed, passed, report_of

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def test_the_folder_is_named_by_utc_time_and_is_the_latest(tmp_path):
    root = tmp_path / "results"
    folder = open_results(root, NOON.astimezone(timezone(timedelta(hours=9))), lambda: "a1b2")
    assert folder == root / "20261124T120000Z-a1b2"
    assert (root / "latest").resolve() == folder
    assert list(folder.iterdir()) == []


def test_a_newer_run_is_the_latest(tmp_path):
    open_results(tmp_path, NOON)
    newer = open_results(tmp_path, NOON + timedelta(seconds=1))
    assert (tmp_path / "latest").resolve() == newer
    assert (tmp_path / "latest").is_symlink()


def test_two_runs_in_one_second_do_not_collide(tmp_path):
    suffixes = itertools.chain(["aaaa", "aaaa", "bbbb"])
    first, second = (open_results(tmp_path, NOON, lambda: next(suffixes)) for _ in range(2))
    assert (first.name, second.name) == ("20261124T120000Z-aaaa", "20261124T120000Z-bbbb")


def test_a_generator_of_suffixes_that_repeats_itself_ends_in_an_error(tmp_path):
    open_results(tmp_path, NOON, lambda: "aaaa")
    with pytest.raises(ResultsError, match="exist already"):
        open_results(tmp_path, NOON, lambda: "aaaa")


def test_a_run_that_died_leaves_no_verdict_of_the_run_before_as_the_latest(tmp_path):
    write_results(open_results(tmp_path, NOON), report_of(passed()))
    open_results(tmp_path, NOON + timedelta(minutes=1))
    assert not (tmp_path / "latest" / "verdict.json").exists()


def _a_file(place):
    place.write_text("")
    return place


def _below_a_file(place):
    place.write_text("")
    return place / "results"


def _with_a_real_latest(place):
    (place / "latest").mkdir(parents=True)
    return place


def _with_a_file_as_latest(place):
    place.mkdir()
    (place / "latest").write_text("mine")
    return place


def _read_only(place):
    place.mkdir(mode=0o500)
    return place


@pytest.mark.parametrize(
    "made",
    [
        _a_file,
        _below_a_file,
        _with_a_real_latest,
        _with_a_file_as_latest,
        pytest.param(_read_only, marks=not_as_root),
    ],
    ids=["a file", "below a file", "latest is a folder", "latest is a file", "read-only"],
)
def test_a_place_that_cannot_be_written_is_said_before_any_load(tmp_path, made):
    place = made(tmp_path / "place")
    with pytest.raises(ResultsError, match=r"cannot be written to .*--results DIR"):
        open_results(place, NOON)


@pytest.mark.parametrize("made", [_with_a_real_latest, _with_a_file_as_latest], ids=["a folder", "a file"])
def test_what_is_in_the_way_of_latest_is_named_and_left_alone(tmp_path, made):
    place = made(tmp_path / "place")
    with pytest.raises(ResultsError, match="latest is no link: move it away"):
        open_results(place, NOON)
    assert [path.name for path in place.iterdir()] == ["latest"]


def test_a_link_that_leads_nowhere_is_replaced(tmp_path):
    (tmp_path / "latest").symlink_to("gone")
    folder = open_results(tmp_path, NOON)
    assert (tmp_path / "latest").resolve() == folder


def test_there_is_always_a_latest_while_runs_begin(tmp_path):
    open_results(tmp_path, NOON)
    over = threading.Event()
    missing = []

    def look():
        while not over.is_set():
            if not (tmp_path / "latest").is_dir():
                missing.append(1)

    looking = threading.Thread(target=look)
    looking.start()
    for second in range(50):
        open_results(tmp_path, NOON + timedelta(seconds=second))
    over.set()
    looking.join()
    assert not missing
    assert [path for path in tmp_path.iterdir() if path.is_symlink()] == [tmp_path / "latest"]


def test_the_three_files_are_written_whole(tmp_path):
    folder = open_results(tmp_path, NOON)
    files = write_results(folder, report_of(failed()))
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in files)
    assert {path.name for path in files} == {"verdict.json", "timeline.json", "streams.jsonl"}
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "FAIL"
    assert len((folder / "streams.jsonl").read_text().splitlines()) == 80


def test_a_folder_that_vanished_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ResultsError, match="were not written"):
        write_results(tmp_path / "gone", report_of(passed()))


def test_a_failed_write_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    write_results(tmp_path, report_of(failed()))

    def broken(_report):
        yield b"half of it"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "stream_lines", broken)
    with pytest.raises(ResultsError, match="No space left"):
        write_results(tmp_path, report_of(passed()))
    assert len((tmp_path / "streams.jsonl").read_text().splitlines()) == 80
    assert len(list(tmp_path.iterdir())) == 3


# --- the seed's summary -------------------------------------------------------------------------------


def test_the_summary_holds_the_headline_numbers(tmp_path):
    path = tmp_path / "summary.json"
    assert write_summary(report_of(failed()), path) == ""
    found = json.loads(path.read_text())
    assert (found["verdict"], found["exit_code"]) == ("FAIL", 1)
    assert (found["total"], found["completed"]) == (80, 39)
    assert (found["completion_rate"], found["error_rate"], found["5xx_rate"]) == (39 / 80, 41 / 80, 0.0)


def test_the_summary_of_an_empty_run_has_no_rates(tmp_path):
    path = tmp_path / "summary.json"
    assert write_summary(report_of(run([])), path) == ""
    assert json.loads(path.read_text())["completion_rate"] is None


def test_a_link_in_its_place_is_replaced_and_never_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "summary.json"
    path.symlink_to(precious)
    assert write_summary(report_of(passed()), path) == ""
    assert precious.read_text() == "mine"
    assert not path.is_symlink()
    assert json.loads(path.read_text())["verdict"] == "PASS"


def test_no_file_of_the_results_is_written_through_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = open_results(tmp_path / "results", NOON)
    for name in ("verdict.json", "timeline.json", "streams.jsonl"):
        (folder / name).symlink_to(precious)
    write_results(folder, report_of(passed()))
    assert precious.read_text() == "mine"
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_a_link_to_a_folder_is_replaced_too(tmp_path):
    path = tmp_path / "summary.json"
    (tmp_path / "folder").mkdir()
    path.symlink_to(tmp_path / "folder")
    assert write_summary(report_of(passed()), path) == ""
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda place: (place / "summary.json").mkdir(parents=True), id="a folder in its place"),
        pytest.param(lambda place: place.write_text(""), id="its folder is a file"),
        pytest.param(lambda place: None, id="its folder is not there"),
        pytest.param(lambda place: place.mkdir(mode=0o500), marks=not_as_root, id="its folder is read-only"),
    ],
)
def test_a_summary_that_cannot_be_written_is_a_reason_and_no_error(tmp_path, made):
    made(tmp_path / "place")
    why = write_summary(report_of(passed()), tmp_path / "place" / "summary.json")
    assert "summary.json" in why


def test_others_may_read_the_summary(tmp_path):
    path = tmp_path / "summary.json"
    write_summary(report_of(passed()), path)
    assert path.stat().st_mode & 0o777 == 0o644
