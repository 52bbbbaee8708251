"""The image table: an image's digest is its definition's."""

from midstream.rehearsal.images import Image, bundled_images, image_id, with_env


def test_another_name_or_environment_is_another_digest() -> None:
    ids = {
        image_id("a/b:1", Image()),
        image_id("a/b:2", Image()),
        image_id("a/b:1", Image(env={"X": "1"})),
        image_id("a/b:1", Image(env={"X": "2"})),
    }
    assert len(ids) == 4
    assert all(found.startswith("a/b@sha256:") for found in ids)
    assert image_id("a/b:1", Image(env={"X": "1", "Y": ""})) == image_id(
        "a/b:1", Image(env={"Y": "", "X": "1"})
    )


def test_environment_is_added_to_known_images_and_makes_new_ones() -> None:
    table = with_env({"a": Image(env={"X": "1"})}, {"a": {"Y": "2"}, "b": {"Z": "3"}})
    assert table == {"a": Image(env={"X": "1", "Y": "2"}), "b": Image(env={"Z": "3"})}


def test_there_are_two_images_to_promote_between() -> None:
    assert set(bundled_images()) == {"midstream/engine:v1", "midstream/engine:v2"}
