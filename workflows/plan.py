"""What a promotion would do, as a person approves it. A plan is a value; ``survey`` draws one up."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from steps.core.account import Named
from steps.core.amounts import seconds, size
from steps.core.release import Release, Serving

State = Literal["new", "live", "repair"]
"""``live``: it serves already, nothing would be done. ``repair``: it should serve, and is not healthy."""
SHOWN = 6
"""Files left behind that are named."""
LABEL_WIDTH = 17


@dataclass(frozen=True, slots=True)
class Hop:
    """Bytes of one hop."""

    move: int
    reuse: int


@dataclass(frozen=True, slots=True)
class Outage:
    """``basis`` says where the number comes from; 0 seconds for none."""

    seconds: float
    basis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """``live`` is what serves now, and so the rollback target; None for a first promotion."""

    release: Release
    revision: str
    state: State
    files: int
    left_behind: tuple[str, ...]
    to_store: Hop
    to_volume: Hop | None
    """None outside of the cluster where the volume is."""
    in_one_pass: int = 0
    """Bytes of it that are written while the store is."""
    shares: int = 1
    """In which the model is fetched side by side."""
    free_bytes: int | None
    """On the volume, now; None like ``to_volume``."""
    live: Named | None
    url: str
    """Empty before the first promotion."""
    outage: Outage
    unfinished: str = ""
    """The dead run whose work would be put right before anything else."""
    noticed: tuple[str, ...] = ()
    """What a person should know before they approve it: what others have done to what serves, a way back."""


def text(plan: Plan) -> str:
    """A line for each thing that one would want to know."""
    lines = (f"  {label:<{LABEL_WIDTH}}{value}" for label, value in _rows(plan))
    return "\n".join((f"Plan for deployment {plan.release.deployment}: {_verdict(plan)}", *lines))


def _verdict(plan: Plan) -> str:
    match plan.state:
        case "live":
            return "already live, nothing would be done"
        case "repair":
            return "it is live but not healthy, and would be started again"
    return "nothing was changed"


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    release, serving = plan.release, plan.release.serving
    if plan.unfinished:
        yield "first of all", f"what run {plan.unfinished} left unfinished is put right"
    yield from (("note", said) for said in plan.noticed)
    yield "model", release.model
    yield "commit", f"{release.commit} ({plan.revision})" if plan.revision != release.commit else release.commit
    yield "release", release.release_id
    yield "files", f"{plan.files}, {size(release.total_bytes)}"
    yield "left behind", _left_behind(plan.left_behind)
    side_by_side = f", in {plan.shares} shares side by side" if plan.shares > 1 and plan.to_store.move else ""
    yield "Hub to store", _hop(plan.to_store) + side_by_side
    yield from _volume(plan)
    yield "serves now", str(plan.live) if plan.live else "nothing: this is the first promotion"
    yield "rollback target", _rollback_target(plan)
    yield "strategy", f"{release.strategy}, {release.replicas} replica{'s' if release.replicas > 1 else ''}"
    yield "expected outage", _outage(plan.outage)
    yield "served as", f"{serving.served_name} on {_device(serving)}"
    yield "endpoint", plan.url or "chosen by the first promotion"
    yield "arguments", shlex.join(serving.args) or "none"


def _volume(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.to_volume is None or plan.free_bytes is None:
        yield "store to volume", "known in the cluster only; the run sees that it fits before it copies anything"
        return
    with_it = f"; {size(plan.in_one_pass)} of it in the same pass as to the store" if plan.in_one_pass else ""
    yield "store to volume", _hop(plan.to_volume) + with_it
    yield "volume", f"{size(plan.free_bytes)} free now, {size(plan.free_bytes - plan.to_volume.move)} afterwards"


def _left_behind(files: tuple[str, ...]) -> str:
    if not files:
        return "none"
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"{len(files)}: {', '.join(files[:SHOWN])}{more}"


def _hop(hop: Hop) -> str:
    return f"{size(hop.move)} to copy, {size(hop.reuse)} there already"


def _rollback_target(plan: Plan) -> str:
    if plan.state != "new":
        return "not needed: nothing else would take its place"
    return str(plan.live) if plan.live else "none: after a failure nothing serves, as now"


def _device(serving: Serving) -> str:
    if serving.device == "cpu":
        return "the CPU"
    return f"{serving.gpus} GPU{'s' if serving.gpus > 1 else ''} for each replica"


def _outage(outage: Outage) -> str:
    return f"{seconds(outage.seconds)}, {outage.basis}" if outage.seconds else f"none, {outage.basis}"
