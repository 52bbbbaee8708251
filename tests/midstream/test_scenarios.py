"""Scenario files: what they give, what is wrong with them."""

import random

import pytest

from midstream.scenarios import ScenarioError, read_scenarios

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
    assert str(file) in str(caught.value) or "a" in str(caught.value)


def test_a_missing_scenario_file(tmp_path):
    with pytest.raises(ScenarioError, match="cannot read"):
        read_scenarios(tmp_path / "no.yaml")
