"""Locust's own parser as a locustfile with the hooks leaves it; it reads no files, no environment."""

import argparse

from locust.argument_parser import LocustArgumentParser, get_empty_argument_parser, setup_parser_arguments

from hooks.help_pages import add_help_pages
from hooks.options import add_options


def locust_parser() -> LocustArgumentParser:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_options(parser)
    add_help_pages(parser)
    return parser


def parse(*arguments: str, headless: bool = True) -> argparse.Namespace:
    given = ["--headless", *arguments] if headless else list(arguments)
    parsed: argparse.Namespace = locust_parser().parse_args(given, env_vars={})
    return parsed
