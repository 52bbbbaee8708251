"""The moments of a promotion come in Argo's order, each from the change that it is."""

from midstream.rehearsal.moments import WATCHED, moments_of
from midstream.rehearsal.steps import Moment
from midstream.rehearsal.store import Event
from tests.midstream.rehearsal.cluster import NS, Cluster


def moments(events: list[Event]) -> list[Moment]:
    return [moment for event in events if event.plural in WATCHED for moment in moments_of(event, ["vllm"])]


def test_a_promotion_shows_its_moments_in_order() -> None:
    cluster = Cluster().deployed()
    assert moments(cluster.events()) == [Moment.READY, Moment.READY, Moment.HEALTHY]
    cluster.set_image("engine:2")
    cluster.start_pods()
    cluster.promote()
    cluster.advance(60)
    cluster.finish_pods()
    assert moments(cluster.events()) == [
        Moment.UPDATED,
        Moment.READY,
        Moment.READY,
        Moment.PAUSED,
        Moment.CUTOVER,
        Moment.HEALTHY,
        Moment.SCALE_DOWN,
        Moment.OLD_POD_DELETED,
        Moment.OLD_POD_DELETED,
    ]


def test_what_is_no_change_of_what_was_there_is_no_moment() -> None:
    cluster = Cluster()
    cluster.settle()
    assert moments(cluster.events()) == []


def test_a_preview_service_that_follows_is_no_cutover() -> None:
    cluster = Cluster().deployed()
    cluster.events()
    cluster.set_image("engine:2")
    assert Moment.CUTOVER not in moments(cluster.events())
    assert cluster.selected("vllm-preview") == cluster.hash_of("engine:2")


def test_a_pod_removed_at_once_was_deleted_once() -> None:
    cluster = Cluster().deployed()
    cluster.events()
    pod, kept = cluster.pods("engine:1")
    cluster.store.delete("pods", NS, pod["metadata"]["name"], 0)
    cluster.store.delete("pods", NS, kept["metadata"]["name"])
    cluster.finish_pods()
    assert moments(cluster.events()).count(Moment.OLD_POD_DELETED) == 2
