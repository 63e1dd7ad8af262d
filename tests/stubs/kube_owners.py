"""Who set which field last, as an API server keeps it and shows it in managedFields."""

from collections import defaultdict
from dataclasses import dataclass, field

from steps.clients.kube.api import FIELD_MANAGER, Json, Kind
from tests.stubs.kube_objects import Path, leaves_of, put_at, value_at

Owner = tuple[str, str, str]
"""Manager, operation, subresource."""
OURS_BY_UPDATE: Owner = (FIELD_MANAGER, "Update", "")
OURS_BY_APPLY: Owner = (FIELD_MANAGER, "Apply", "")
CONTROLLER: Owner = ("kube-controller-manager", "Update", "status")


@dataclass
class Owners:
    """Of one object. A field has one owner; a list is owned as a whole."""

    of: dict[Path, Owner] = field(default_factory=dict)
    wrote: dict[Owner, str] = field(default_factory=lambda: defaultdict(str))
    """When each of them changed something last."""

    def update(self, old: Json, change: Json, owner: Owner, now: str) -> None:
        """What is set to what it is already stays its owner's; what is removed is nobody's, and so is a scale to 0."""
        said = {path: value for path, value in leaves_of(change).items() if value_at(old, path) != value}
        nobodys = [path for path, value in said.items() if value is None or (value == 0 and owner[-1] == "scale")]
        for path in nobodys:
            self.of = {p: o for p, o in self.of.items() if p[: len(path)] != path}
        self._own([path for path in said if path not in nobodys], owner, now)

    def apply(self, body: Json, now: str, *, changed: bool) -> None:
        for path in self.dropped(body):
            del self.of[path]
        said = [*leaves_of(body)]
        self.of |= dict.fromkeys(said, OURS_BY_APPLY)
        if changed:
            self._own(said, OURS_BY_APPLY, now)

    def dropped(self, body: Json) -> tuple[Path, ...]:
        """What we have applied and no longer say."""
        said = leaves_of(body)
        return tuple(path for path, owner in self.of.items() if owner == OURS_BY_APPLY and path not in said)

    def other(self, path: Path) -> str | None:
        """Its manager, where that is somebody else than we."""
        manager, *_ = self.of.get(path, OURS_BY_APPLY)
        return None if manager == FIELD_MANAGER else manager

    def managed_fields(self, kind: Kind) -> list[Json]:
        """Oldest first."""
        trees = dict[Owner, Json]()
        for path, owner in self.of.items():
            put_at(trees.setdefault(owner, {}), tuple(f"f:{part}" for part in path), {})
        entries = [_entry(kind, owner, self.wrote[owner], tree) for owner, tree in trees.items()]
        return sorted(entries, key=lambda entry: str(entry.get("time", "")))

    def _own(self, paths: list[Path], owner: Owner, now: str) -> None:
        self.of |= dict.fromkeys(paths, owner)
        if paths:
            self.wrote[owner] = now


def _entry(kind: Kind, owner: Owner, time: str, tree: Json) -> Json:
    manager, operation, subresource = owner
    entry: Json = {"manager": manager, "operation": operation, "apiVersion": kind.api_version}
    entry |= {} if subresource == "scale" else {"time": time}  # so Kubernetes 1.34 does it
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": tree}
    return {**entry, **({"subresource": subresource} if subresource else {})}
