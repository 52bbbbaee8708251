"""The help pages: whole, grouped, printed while Locust reads its command line."""

import textwrap

import pytest
from locust.argument_parser import LocustArgumentParser

from hooks.help_pages import WIDTH, faults_page, options_page
from hooks.options import LOCUST_OPTIONS, OPTIONS
from midstream.rehearsal.faults import bundled_faults
from tests.hooks.command_line import locust_parser

ALL = (*OPTIONS, *LOCUST_OPTIONS)


@pytest.fixture
def parser() -> LocustArgumentParser:
    return locust_parser()


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_every_option_is_told_with_its_variables_under_its_group(option):
    page = options_page(ALL)
    _, _, of_group = page.partition(f"\n{option.group}:\n")
    of_group = " ".join(of_group.partition("\n\n")[0].split())
    assert f" {option.source.flag} {option.help} [{', '.join(option.source.envs)}]" in f" {of_group}"


def test_a_group_is_headed_once():
    page = options_page(ALL)
    for group in {option.group for option in ALL}:
        assert page.count(f"\n{group}:\n") == 1


@pytest.mark.parametrize("page", [options_page(ALL), faults_page(bundled_faults().values())])
def test_no_line_is_too_long_and_none_ends_in_blanks(page):
    assert page.endswith("\n")
    for line in page.splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()


def test_every_fault_is_told_with_its_sentence():
    page = " ".join(faults_page(bundled_faults().values()).split())
    for fault in bundled_faults().values():
        assert f" {fault.name} {' '.join(fault.sentence.split())}" in page


PAGES = {
    "--help-midstream": "--sigterm-streams",
    "--help-rehearsal": "no-shutdown-timeout",
}


@pytest.mark.parametrize(("flag", "words"), PAGES.items(), ids=PAGES)
@pytest.mark.parametrize("before", [[], ["--headless", "--max-error-rate", "5"]], ids=["alone", "with more"])
def test_a_flag_prints_its_page_and_ends_with_0(parser, capsys, flag, words, before):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([*before, flag], env_vars={})
    assert ended.value.code == 0
    printed = capsys.readouterr()
    assert words in printed.out
    assert not printed.err


def test_the_flags_leave_no_trace_in_what_is_parsed_or_shown(parser):
    assert not [name for name in vars(parser.parse_args([], env_vars={})) if name.startswith("help_")]
    assert not [name for name in parser.args_included_in_web_ui if name.startswith("help_")]


def test_locusts_own_help_names_both(parser):
    told = textwrap.dedent(parser.format_help())
    assert all(flag in told for flag in PAGES)
