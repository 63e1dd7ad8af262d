"""What somebody else has changed of a release's Deployment, in sentences that name who, what, from what and when.

Our changes leave behind how many replicas they asked for, and a digest of the rest of the spec, which they leave alone;
so what came after them shows. (The generation would not do: each change of an annotation makes a new one.) The pod
template is held against the one that the release makes, where somebody else has written it: what was changed and put
back again is no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from steps.core import canonical, labels, managed
from steps.core.managed import Json, Path

SPEC: Path = ("spec",)
REPLICAS: Path = ("spec", "replicas")
TEMPLATE: Path = ("spec", "template")
RESTARTED: Path = (*TEMPLATE, "metadata", "annotations")
"""``kubectl rollout restart`` writes there: other pods of the same kind."""
UNNAMED = "somebody, as `kubectl scale` does (the API server keeps no name of who scales to 0; its audit log may)"
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Change:
    """``template``: its pods are no longer those that the release describes."""

    sentence: str
    template: bool = False
    harmless: bool = False


def changes(found: Json, made: Json | None, ours: str) -> tuple[Change, ...]:
    """``made`` is the Deployment as the release makes it, None where that is not known."""
    return (*_replicas(found, ours), *_spec(found, made, ours))


def since_our_last_change(found: Json, owner: str) -> bool:
    """Whether somebody has changed its spec since ``owner`` last did."""
    if _said(found, labels.OWNER) != owner or _said(found, labels.SPEC) is None:
        return False
    return (_said(found, labels.SPEC), _said(found, labels.REPLICAS)) != (digest(found), _wanted(found))


def unknown(found: Json, ours: str) -> Change:
    """Of a change that leaves nothing to name: something was taken out of it."""
    who = managed.author(found, ours, SPEC)
    return Change(
        f"the spec of {_name(found)} was changed since we wrote it, and who set something in it last is: {who}"
    )


def digest(found: Json) -> str:
    """Of its spec but for the replicas."""
    return canonical.digest({key: value for key, value in found["spec"].items() if key != "replicas"})[:DIGITS]


def _replicas(found: Json, ours: str) -> Iterator[Change]:
    before, now = _said(found, labels.REPLICAS), _wanted(found)
    if before is not None and before != now:
        who = managed.author(found, ours, REPLICAS)
        if (who, now) == (managed.SOMEBODY, "0"):
            who = UNNAMED
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


def _wanted(found: Json) -> str:
    return str(found["spec"].get("replicas", 0))


def _said(found: Json, key: str) -> str | None:
    said = found["metadata"].get("annotations", {}).get(key)
    return None if said is None else str(said)


def _name(found: Json) -> str:
    return f"Deployment {found['metadata']['name']}"
