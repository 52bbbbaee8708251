"""A cluster that only holds objects, for checks that only read."""

from midstream.rollouts.client import Access, Cluster, Listing, UnreachableError
from tests.midstream.rollouts.objects import Object


class Shelf(Cluster):
    """Objects by kind; `denied` are resources that RBAC refuses; `away`: nothing answers."""

    def __init__(
        self,
        *,
        server: str = "https://10.0.0.1:6443",
        in_cluster: bool = False,
        denied: frozenset[str] = frozenset(),
        away: bool = False,
        **kinds: list[Object],
    ) -> None:
        self.server = server
        self.in_cluster = in_cluster
        self._denied = denied
        self._away = away
        self._kinds = kinds

    def version(self) -> Object:
        if self._away:
            raise UnreachableError("the API server https://10.0.0.1:6443 does not answer: timed out")
        return {"gitVersion": "v1.34.1"}

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        found = [item for item in self._kinds.get(kind, []) if item["metadata"]["name"] == name]
        return found[0] if found else None

    def list(self, kind: str, namespace: str, *, labels: str = "", fields: str = "") -> Listing:
        wanted = dict(part.split("=") for part in labels.split(",") if part)
        items = [
            item
            for item in self._kinds.get(kind, [])
            if wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        return Listing(items, "9")

    def can(self, access: Access) -> bool:
        return access.resource not in self._denied
