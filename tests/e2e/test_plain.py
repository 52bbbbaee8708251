"""A plain load against a server that no rollout changes."""

import pytest


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
