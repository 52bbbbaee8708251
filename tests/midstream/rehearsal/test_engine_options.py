"""The engine's command line and the image's own arguments."""

import pytest

from midstream.rehearsal.engine.options import OnSigterm, parse


def test_the_images_arguments_come_last_and_win() -> None:
    options = parse(["--port", "1", "--seed", "a"], {"MIDSTREAM_ENGINE_ARGS": "--seed 'b c' --garbage"})
    assert (options.port, options.seed, options.garbage) == (1, "b c", True)


def test_the_defaults_are_those_of_vllm() -> None:
    options = parse([], {})
    assert (options.port, options.max_num_seqs, options.stream_interval) == (8000, 256, 1)
    assert (options.shutdown_timeout_s, options.on_sigterm) == (0.0, OnSigterm.ABORT)
    assert options.served_names == (options.model,)


def test_texts_follow_from_the_first_name_unless_a_seed_is_given() -> None:
    assert parse(["--served-model-name", "rev", "tiny"], {}).seed == "rev"
    assert parse(["--served-model-name", "rev", "tiny", "--seed", "s"], {}).seed == "s"


@pytest.mark.parametrize(
    "arguments",
    [
        "--max-num-seqs 0",
        "--ttft-seconds -1",
        "--shutdown-timeout inf",
        "--tokens-per-second 0",
        "--port 65536",
        "--on-sigterm maybe",
        "--shut 3",
        "--unknown",
        "--load-seconds nan",
    ],
)
def test_wrong_arguments_exit_with_2_and_name_themselves(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments.split(), {})
    assert ended.value.code == 2
    assert arguments.split(maxsplit=1)[0] in capsys.readouterr().err
