"""Scenario files: what they give, what is wrong with them."""

import random
from pathlib import Path

import pytest

from midstream.scenarios import ScenarioError, read_scenarios

CONFIG = Path(__file__).parents[2] / "config" / "scenarios"
TWO = """
scenarios:
  - {name: often, weight: 9, prompts: [a, b], tokens: 12}
  - {name: seldom, weight: 1, prompt_file: more.txt}
"""


@pytest.fixture
def two(tmp_path):
    (tmp_path / "more.txt").write_text("c\n\nd\n")
    (tmp_path / "two.yaml").write_text(TWO)
    return read_scenarios(tmp_path / "two.yaml")


def test_picks_by_weight(two):
    chance = random.Random(1)
    names = [two.pick(chance).scenario for _ in range(1000)]
    assert 850 < names.count("often") < 950


def test_prompts_of_the_file_and_of_the_text_file(two):
    chance = random.Random(1)
    asks = {two.pick(chance) for _ in range(300)}
    assert {(ask.scenario, ask.prompt, ask.tokens) for ask in asks} == {
        ("often", "a", 12),
        ("often", "b", 12),
        ("seldom", "c", None),
        ("seldom", "d", None),
    }


def test_the_same_seed_gives_the_same_sequence(two):
    one, other = random.Random("s"), random.Random("s")
    assert [two.pick(one) for _ in range(50)] == [two.pick(other) for _ in range(50)]


BAD = {
    "unknown key": ("scenarios: [{name: a, promts: [x]}]", "promts"),
    "no scenarios": ("scenarios: []", "lists no scenarios"),
    "no prompts": ("scenarios: [{name: a}]", "neither prompts nor prompt_file"),
    "missing file": ("scenarios: [{name: a, prompt_file: no.txt}]", r"no\.txt"),
    "empty file": ("scenarios: [{name: a, prompt_file: empty.txt}]", "holds no prompts"),
    "weight without end": ("scenarios: [{name: a, weight: .inf, prompts: [x]}]", "above 0"),
    "weight that is no number": ("scenarios: [{name: a, weight: .nan, prompts: [x]}]", "above 0"),
    "weight below 0": ("scenarios: [{name: a, weight: -1, prompts: [x]}]", "above 0"),
    "no name": ("scenarios: [{prompts: [x]}]", "name"),
    "prompts that are no text": ("scenarios: [{name: a, prompts: [1]}]", "str"),
    "a folder of prompts": ("scenarios: [{name: a, prompt_file: .}]", "cannot read"),
    "nothing": ("", "object"),
    "a broken line": ("scenarios:\n  - name: a\n   prompts: [x]\n", "line"),
    "weight 0": ("scenarios: [{name: a, weight: 0, prompts: [x]}]", "above 0"),
    "tokens 0": ("scenarios: [{name: a, tokens: 0, prompts: [x]}]", "above 0"),
    "no YAML": ("scenarios: [", "YAML|expected|parsing"),
    "a list": ("- a", "object"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_one_line(tmp_path, content, words):
    (tmp_path / "empty.txt").write_text("\n")
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ScenarioError, match=words) as caught:
        read_scenarios(file)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


BUNDLED = {"default.yaml"}


def test_every_bundled_scenario_file_is_known_here_and_loads():
    assert {file.name for file in CONFIG.iterdir()} == BUNDLED
    for name in BUNDLED:
        assert read_scenarios(CONFIG / name).entries


def test_prompts_of_a_file_that_is_no_text(tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "bad.yaml").write_text("scenarios: [{name: a, prompt_file: prompts.txt}]")
    with pytest.raises(ScenarioError, match=r"cannot read .*prompts\.txt"):
        read_scenarios(tmp_path / "bad.yaml")


def test_prompts_of_both_kinds_are_joined(tmp_path):
    (tmp_path / "more.txt").write_text("b\n")
    (tmp_path / "both.yaml").write_text("scenarios: [{name: a, prompts: [a], prompt_file: more.txt}]")
    assert read_scenarios(tmp_path / "both.yaml").entries[0].prompts == ("a", "b")


def test_a_missing_scenario_file(tmp_path):
    with pytest.raises(ScenarioError, match="cannot read"):
        read_scenarios(tmp_path / "no.yaml")
