"""What somebody else has changed of a release's Deployment, in sentences that name who, what, from what and when.

Our changes leave behind how many replicas they asked for, and the generation of the spec that they made; so what came
after them shows. The pod template is held against the one that the release makes, where somebody else has written it:
what was changed and put back again is no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from steps.core import labels, managed
from steps.core.managed import Json, Path

SPEC: Path = ("spec",)
REPLICAS: Path = ("spec", "replicas")
TEMPLATE: Path = ("spec", "template")
RESTARTED: Path = (*TEMPLATE, "metadata", "annotations")
"""``kubectl rollout restart`` writes there: other pods of the same kind."""


@dataclass(frozen=True, slots=True)
class Change:
    """``template``: its pods are no longer those that the release describes."""

    sentence: str
    template: bool = False
    harmless: bool = False


def changes(found: Json, made: Json | None, ours: str) -> tuple[Change, ...]:
    """``made`` is the Deployment as the release makes it, None where that is not known."""
    known = (*_replicas(found, ours), *_spec(found, made, ours))
    return known if known or not _touched(found) else (_unknown(found, ours),)


def since_our_last_change(found: Json, owner: str) -> bool:
    """Whether somebody has changed its spec since ``owner`` last did."""
    return _said(found, labels.OWNER) == owner and _touched(found)


def generation(found: Json, replicas: int) -> int:
    """That its spec will be of, once our change has made it ``replicas``."""
    changes_it = found["spec"].get("replicas", 0) != replicas
    return int(found["metadata"].get("generation", 0)) + int(changes_it)


def _touched(found: Json) -> bool:
    stamped = _said(found, labels.GENERATION)
    return stamped is not None and stamped != str(found["metadata"].get("generation", 0))


def _replicas(found: Json, ours: str) -> Iterator[Change]:
    before, now = _said(found, labels.REPLICAS), str(found["spec"].get("replicas", 0))
    if before is not None and before != now:
        who = managed.author(found, ours, REPLICAS)
        yield Change(f"replicas of {_name(found)} were changed from {before} to {now} by {who}")


def _spec(found: Json, made: Json | None, ours: str) -> Iterator[Change]:
    for path, author in managed.others(found, ours, SPEC).items():
        before, now = managed.value(made, path) if made else None, managed.value(found, path)
        if path == REPLICAS or now is None or before == now:
            continue
        if path[: len(RESTARTED)] == RESTARTED:
            yield Change(f"the pods of {_name(found)} were restarted by {author}", harmless=True)
            continue
        what = f"{managed.named(path)} of {_name(found)}"
        yield Change(managed.told(what, before, now, str(author)), template=path[: len(TEMPLATE)] == TEMPLATE)


def _unknown(found: Json, ours: str) -> Change:
    who = managed.author(found, ours, SPEC)
    return Change(f"the spec of {_name(found)} was changed since we wrote it, last by {who}")


def _said(found: Json, key: str) -> str | None:
    said = found["metadata"].get("annotations", {}).get(key)
    return None if said is None else str(said)


def _name(found: Json) -> str:
    return f"Deployment {found['metadata']['name']}"
