"""An API, a store, a model server as a step calls them, with a moment ahead of each call at which anything may happen.

There is another one between what a write has done and its answer, and one at the end of each step: so a kill at every
moment is a kill before and after each call. Whoever is killed calls nobody any more, whatever it would do on its way
out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from steps.clients.kube.api import Api, Json, Kind
from tests.stubs.scene import Killed

END, ANSWER = "end", "the answer"
T = TypeVar("T")


@dataclass
class Moments:
    """``at`` is called ahead of each call with what is about to be called, and may raise: what does, ends the work."""

    at: Callable[[str], None] = lambda _call: None
    seen: int = 0
    _dead: BaseException | None = field(default=None, init=False)

    def __call__(self, call: str) -> None:
        if self._dead is not None:
            raise self._dead
        self.seen += 1
        try:
            self.at(call)
        except Killed as err:
            self._dead = err
            raise


@dataclass(frozen=True)
class WatchedApi(Api):
    api: Api
    moment: Callable[[str], None]

    @property
    def namespace(self) -> str:
        return self.api.namespace

    def get(self, kind: Kind, name: str) -> Json | None:
        self.moment(f"get {kind.plural}/{name}")
        return self.api.get(kind, name)

    def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[Json]:
        self.moment(f"list {kind.plural}")
        return self.api.list(kind, labels=labels, fields=fields)

    def create(self, kind: Kind, body: Json) -> Json:
        self.moment(f"create {kind.plural}/{body['metadata'].get('name', '')}")
        return self._answered(self.api.create(kind, body))

    def replace(self, kind: Kind, body: Json) -> Json:
        self.moment(f"update {kind.plural}/{body['metadata']['name']}")
        return self._answered(self.api.replace(kind, body))

    def patch(self, kind: Kind, name: str, change: Json) -> Json:
        self.moment(f"patch {kind.plural}/{name}")
        return self._answered(self.api.patch(kind, name, change))

    def apply(self, kind: Kind, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        self.moment(f"apply {kind.plural}/{body['metadata']['name']}")
        return self._answered(self.api.apply(kind, body, force=force, dry_run=dry_run))

    def delete(self, kind: Kind, name: str, *, version: str = "", uid: str = "") -> None:
        self.moment(f"delete {kind.plural}/{name}")
        self.api.delete(kind, name, version=version, uid=uid)
        self.moment(ANSWER)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        self.moment(f"log pods/{pod}")
        return self.api.log(pod, container, lines, previous=previous)

    def log_head(self, pod: str, container: str, size: int) -> str:
        self.moment(f"log pods/{pod}")
        return self.api.log_head(pod, container, size)

    def watch(self, kind: Kind, name: str, version: str, seconds: float) -> Iterator[Json]:
        self.moment(f"watch {kind.plural}/{name}")
        return self.api.watch(kind, name, version, seconds)

    def _answered(self, answer: T) -> T:
        """It is done, whether or not the caller hears of it."""
        self.moment(ANSWER)
        return answer


def is_write(call: str) -> bool:
    return call.partition(" ")[0] in ("create", "update", "patch", "apply", "delete")
