"""A plain load against a server that no rollout changes."""

import pytest

from tests.e2e.scenarios import API_KEY


@pytest.mark.whole_run("plain")
def test_passes_on_the_thresholds_alone(ended):
    assert ended.exit_code == 0, ended.output
    assert "no rollout was watched" in ended.verdict["sentence"]
    names = {check["name"] for check in ended.verdict["checks"]}
    assert {"error_rate", "5xx_rate", "completion"} <= names
    assert not {"crossing_lost", "rollout"} & names


@pytest.mark.whole_run("plain")
def test_open_streams_finish_when_the_time_is_over(ended):
    assert {stream["ending"] for stream in ended.streams} == {"complete"}
    assert max(stream["tokens"] for stream in ended.streams) == 60
    assert ended.requests == len(ended.streams) >= 4


@pytest.mark.whole_run("plain-with-a-key")
def test_a_key_gets_through_and_is_written_nowhere(ended):
    assert ended.exit_code == 1, ended.output  # for the errors that this server plays, and for these alone
    endings = {stream["ending"] for stream in ended.streams}
    assert {"complete", "http_5xx", "error_event"} <= endings
    assert endings <= {"complete", "http_5xx", "error_event", "cut"}
    assert "--insecure" in ended.verdict["subject"]["path"]
    assert API_KEY not in ended.output
    assert ended.folder is not None
    files = [file for file in ended.folder.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if API_KEY.encode() in file.read_bytes()]


@pytest.mark.whole_run("plain-with-a-key")
@pytest.mark.parametrize("ending", ["http_5xx", "error_event"])
def test_a_key_that_the_server_tells_is_starred(ended, ending):
    told = [str(stream["evidence"]) for stream in ended.streams if stream["ending"] == ending]
    assert told
    for evidence in told:
        assert "Authorization: Bearer ***" in evidence
        assert "X-Key: ***" in evidence


@pytest.mark.whole_run("plain-chat")
def test_chat(ended):
    assert ended.exit_code == 0, ended.output
    assert {stream["token_source"] for stream in ended.streams} == {"ids"}


@pytest.mark.whole_run("plain-server-killed")
def test_a_server_that_dies_is_a_fail(ended):
    assert ended.exit_code == 1, ended.output
    assert {"error_rate", "completion"} <= {
        check["name"] for check in ended.verdict["checks"] if check["status"] == "fail"
    }
    assert {"truncated", "reset"} & {stream["ending"] for stream in ended.streams}


@pytest.mark.whole_run("plain-ctrl-c")
def test_a_load_cut_short_is_inconclusive(ended):
    assert ended.exit_code == 3, ended.output
    assert "stopped by Ctrl-C" in ended.verdict["sentence"]
