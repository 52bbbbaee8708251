"""`python -m midstream update`: a Rollout's new revision up to its preview, on to its promotion, or back."""

import argparse
from collections.abc import Callable, Sequence

from midstream.reports.standing_page import headline
from midstream.rollout_command import (
    EXIT_OK,
    EXIT_UNKNOWN,
    Asked,
    add_options,
    asked,
    carried_out,
    ended,
    seconds,
)
from midstream.rollouts.client import ClusterError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.gitops import managed_by
from midstream.rollouts.look import look
from midstream.rollouts.named import NoRolloutError, find_rollout
from midstream.rollouts.standing import Role, Standing
from midstream.rollouts.verbs import RolloutVerbs
from midstream.status_command import EXIT_CODES, show
from midstream.update import Deed, is_promoted, refusal, waits_in_preview
from midstream.waiting import wait_until

WAIT_S = 900.0  # beyond ten minutes for a large model to load


class _NotThereError(Exception):
    """The waiting ended elsewhere; all was said but the last line."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why)
        self.exit_code = exit_code


def main(argv: Sequence[str]) -> int:
    """0: done; 1: the Rollout does not get there; 2: nothing was done; 3: it cannot be known."""
    parser = _parser()
    given = parser.parse_args(argv)
    return carried_out(parser.prog, lambda: _run(parser.prog, given))


def _run(prog: str, given: argparse.Namespace) -> int:
    images, deed = _images(given.set_image), _deed(given)
    on = asked(given)
    warning = managed_by(find_rollout(on.cluster, on.name))
    standing = look(on.cluster, on.name)
    if why := refusal(standing, deed):
        raise RefusedError(why)
    if warning:
        _say(f"warning: {warning}")
    verbs = RolloutVerbs(on.cluster, on.name.namespace, on.name.name)
    try:
        if deed is Deed.GO_BACK:
            _go_back(on, verbs, standing, given.wait)
        else:
            if deed is Deed.BEGIN:
                _begin(verbs, images, given.set_model)
            _to_preview(on, standing, deed, given.wait)
            if given.promote:
                _promote(on, verbs, given.wait)
    except _NotThereError as error:
        return ended(prog, str(error), error.exit_code)
    except KeyboardInterrupt:
        return ended(prog, f"interrupted, the Rollout stays as it is: {_state(on)}", EXIT_UNKNOWN)
    show(on, look(on.cluster, on.name))
    return EXIT_OK


def _begin(verbs: RolloutVerbs, images: dict[str, str], model: str | None) -> None:
    if images:
        verbs.set_image(images)
    if model is not None:
        verbs.set_model(model)


def _to_preview(on: Asked, before: Standing, deed: Deed, limit_s: float) -> None:
    old = before.newest if deed is Deed.BEGIN else None
    standing = _wait(on, lambda now: waits_in_preview(now, old), limit_s)
    if not standing.is_promotable:
        _say("the Rollout promotes by itself (autoPromotionEnabled)")


def _promote(on: Asked, verbs: RolloutVerbs, limit_s: float) -> None:
    if look(on.cluster, on.name).is_promotable:
        _say("promoting: without load nothing is judged (make verify PROMOTE=1 does that)")
        verbs.promote()
    _wait(on, is_promoted, limit_s)


def _go_back(on: Asked, verbs: RolloutVerbs, standing: Standing, limit_s: float) -> None:
    """To the template of the revision that users reached before: the update ends without a promotion."""
    stable = next((each for each in standing.revisions if each.role is Role.STABLE), None)
    if stable is None or stable.number is None:
        raise RefusedError(f"Rollout {standing.name} has no ReplicaSet of its stable revision to go back to")
    verbs.undo(stable.number)
    _wait(on, lambda now: is_promoted(now) and now.newest == stable.hash, limit_s)


def _wait(on: Asked, reached: Callable[[Standing], bool], limit_s: float) -> Standing:
    waited = wait_until(on.cluster, on.name, reached, limit_s=limit_s, say=_say)
    if waited.why or waited.standing is None:
        if waited.standing is not None:
            show(on, waited.standing)
        raise _NotThereError(waited.why, EXIT_CODES[waited.end])
    return waited.standing


def _state(on: Asked) -> str:
    try:
        return headline(look(on.cluster, on.name))
    except (ClusterError, NoRolloutError) as error:
        return str(error)


def _deed(given: argparse.Namespace) -> Deed:
    changes = [name for name, value in (("image", given.set_image), ("model", given.set_model)) if value]
    if given.undo:
        if changes or given.promote:
            raise ValueError("--undo goes alone: it takes an update back")
        return Deed.GO_BACK
    if len(changes) > 1:
        raise ValueError("--set-image and --set-model are two updates: give one of them")
    if changes:
        return Deed.BEGIN
    if given.promote:
        return Deed.PROMOTE
    raise ValueError("give --set-image CONTAINER=IMAGE, --set-model MODEL, --promote or --undo")


def _images(texts: Sequence[str]) -> dict[str, str]:
    images = {}
    for text in texts:
        container, _, image = text.partition("=")
        if not container or not image:
            raise ValueError(f"--set-image {text}: write CONTAINER=IMAGE, such as vllm=midstream:local")
        images[container] = image
    return images


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstream update",
        description="Begin an update of a blue/green Rollout, wait until its new revision can be promoted.",
        epilog="exit code: 0 done, 1 the Rollout does not get there, 2 nothing was done: the command is wrong"
        " or it is no time for it, 3 not known by the end of --wait",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument(
        "--set-image", action="append", default=[], metavar="CONTAINER=IMAGE", help="the new image"
    )
    parser.add_argument("--set-model", metavar="MODEL", help="the new model: env MODEL or its argument")
    parser.add_argument(
        "--promote",
        action="store_true",
        help="promote it as well; alone: the update that is there. Without load nothing is judged",
    )
    parser.add_argument("--undo", action="store_true", help="take back an update that is not promoted")
    parser.add_argument(
        "--wait", type=seconds, default=WAIT_S, metavar="SECONDS", help=f"for each step ({WAIT_S:g})"
    )
    return parser
