"""What an installation would change in a cluster, asked of its API server; and carrying it out."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from steps.clients.kube.api import CLAIM, NAMESPACE, VOLUME, Api, Json, Kind
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.errors import BadInput, Conflict
from workflows.cluster.difference import difference
from workflows.cluster.kinds import CLUSTER_WIDE, REMOVABLE, kind_of
from workflows.cluster.parts import INSTALLED
from workflows.cluster.rights import node_reader_name

Action = Literal["create", "change", "keep", "remove"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to be done about one object. ``body`` is what is applied; of one that goes, what is there."""

    kind: Kind
    body: Json
    action: Action
    difference: str = ""
    """A unified diff, of one that changes."""
    conflict: str = ""
    """Who manages a field that we would change, in the server's words; empty where nobody minds."""

    @property
    def name(self) -> str:
        name: str = self.body["metadata"]["name"]
        return name


def look(api: Api, wanted: Iterable[Json]) -> tuple[Change, ...]:
    """In the order in which it is carried out. Changes nothing. Raises Missing naming the right that is not there."""
    wanted = tuple(wanted)
    if any(kind_of(body) is NAMESPACE for body in wanted) and not _namespace_exists(api):
        # The server could be asked about nothing that lies in it.
        return tuple(Change(kind=kind_of(body), body=body, action="create") for body in wanted)
    return (*(_change(api, body) for body in wanted), *_surplus(api, wanted))


def carry_out(api: Api, plan: Iterable[Change], *, take_over: bool) -> None:
    """Stops at the first failure; what was done stays, and the next run does the rest. Raises as ``Api`` does."""
    for change in plan:
        match change.action:
            case "create" | "change":
                api.apply(change.kind, change.body, force=take_over)
            case "remove":
                api.delete(change.kind, change.name)


def installed(api: Api, *, cluster_wide: bool) -> Iterator[tuple[Kind, Json]]:
    """What install made and may take away again, in the order in which it is taken away."""
    for kind in REMOVABLE:
        with suppress(UnknownKind):  # Argo has gone first
            yield from ((kind, body) for body in api.list(kind, labels=INSTALLED))
    for kind in CLUSTER_WIDE if cluster_wide else ():
        with _asking(kind):
            body = api.get(kind, node_reader_name(api.namespace))
        if body:
            yield kind, body


def _namespace_exists(api: Api) -> bool:
    with _asking(NAMESPACE):
        return api.get(NAMESPACE, api.namespace) is not None


def _change(api: Api, body: Json) -> Change:
    kind = kind_of(body)
    with _asking(kind):
        live = api.get(kind, body["metadata"]["name"])
        after, conflict = _tried(api, kind, body)
    if live is None:
        return Change(kind=kind, body=body, action="create")
    changed = difference(live, after)
    return Change(kind=kind, body=body, action="change" if changed else "keep", difference=changed, conflict=conflict)


@contextmanager
def _asking(kind: Kind) -> Iterator[None]:
    """Whoever has rights in the namespace alone is told how to get on."""
    try:
        yield
    except Forbidden as err:
        if kind.namespaced:
            raise
        raise Forbidden(
            f"{err}; or set cluster_scoped = false, and leave what lies outside of the namespace to its administrators"
        ) from err


def _tried(api: Api, kind: Kind, body: Json) -> tuple[Json, str]:
    """As it would be, and who minds. Raises BadInput for what the server does not take."""
    try:
        return api.apply(kind, body, dry_run=True), ""
    except Conflict as err:
        return api.apply(kind, body, force=True, dry_run=True), str(err)
    except BadInput as err:
        if kind in (VOLUME, CLAIM):
            raise BadInput(f"{err}; a volume cannot be changed into another: give that one a claim of its own") from err
        raise


def _surplus(api: Api, wanted: tuple[Json, ...]) -> Iterator[Change]:
    """What an earlier installation made and this one does not want."""
    kept = {(kind_of(body), body["metadata"]["name"]) for body in wanted}
    cluster_wide = any(not kind.namespaced for kind, _ in kept)
    for kind, body in installed(api, cluster_wide=cluster_wide):
        if (kind, body["metadata"]["name"]) not in kept:
            yield Change(kind=kind, body=body, action="remove")
