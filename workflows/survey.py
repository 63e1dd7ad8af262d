"""Draw up the plan of a promotion: all that its first steps would ask, and nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from steps import candidate, interference, mirror, populate, preflight, recovery, resolve
from steps.contracts import ResolveInputs
from steps.core import course, shards
from steps.core.account import Named
from steps.core.budget import budget
from steps.core.catalog import Catalog
from steps.core.history import Entry
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Document, Release
from steps.ports.hub import Hub
from steps.ports.serving import Held
from steps.ports.store import Store
from steps.ports.volume import Volume
from steps.report import name
from steps.settings import Settings
from steps.stage import Stage
from workflows import history
from workflows.asked import Asked
from workflows.plan import Hop, Outage, Plan, State

LOOK_BACK = 20
"""Entries of the history that an expectation is taken from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landscape:
    """All that a plan depends on.

    ``volume`` is None outside of the cluster where it is: then neither it nor a pod can be asked.
    """

    hub: Hub
    store: Store
    volume: Volume | None
    stage: Stage
    catalog: Catalog
    settings: Settings


def draw_up(asked: Asked, around: Landscape) -> Plan:
    """Raises what keeps the promotion from being begun, in the words of the step that would."""
    stage, layout = around.stage, Layout(around.settings.prefix)
    inputs = ResolveInputs(model=asked.model, revision=asked.revision, deployment=asked.deployment)
    resolved = resolve.plan(inputs, around.hub, around.store, around.catalog, around.settings)
    release, manifest = resolved.document.release, resolved.document.manifest
    held = stage.serving.read()
    unfinished = _unfinished(stage, held.record, release)
    state = _state(around, held, release)
    if state != "live" and not unfinished:
        interference.require_pointer(stage, held)
        _check(around, held.record, resolved.document)
    live = name(stage.serving, held.record.live) if held.record.live else None
    past = history.read(around.store, layout, [stage.deployment], LOOK_BACK)
    copy = mirror.expected(around.store, layout, manifest)
    write = populate.expected(around.volume, manifest) if around.volume else None
    onward = set(copy.copy).intersection(write.copy) if write and around.settings.one_pass else ()
    return Plan(
        release=release,
        revision=asked.revision,
        state=state,
        files=len(manifest.files),
        left_behind=resolved.left_behind,
        to_store=Hop(move=copy.copy_bytes, reuse=copy.reuse_bytes),
        shares=len(shards.names(manifest, int(around.settings.shard_gib * shards.GiB))),
        to_volume=Hop(move=write.copy_bytes, reuse=write.reuse_bytes) if write else None,
        in_one_pass=sum(file.size for file in onward),
        free_bytes=around.volume.free_bytes() if around.volume else None,
        live=live,
        url=stage.serving.url if held.record != Record() else "",
        outage=expected_outage(stage, release, live, past) if state == "new" else Outage(0.0, "nothing is moved"),
        unfinished=unfinished,
        noticed=tuple(interference.notices(stage, held.record, release)) if not unfinished else (),
    )


def expected_outage(stage: Stage, release: Release, live: Named | None, past: Sequence[Entry]) -> Outage:
    """From what was last measured here, else the longest that is allowed."""
    if live is None:
        return Outage(0.0, "nothing serves yet")
    if release.strategy == "blue-green":
        return Outage(0.0, "the old release serves until the new one does")
    for entry in past:
        if entry.outcome == "promoted" and entry.outage_seconds:
            return Outage(entry.outage_seconds, f"as in the promotion of {entry.at}")
    if started := next((e.startup_seconds for e in past if e.startup_seconds), None):
        return Outage(started, "as long as the last start-up took")
    longest = budget(release, release.replicas, stage.patience).startup
    return Outage(longest, "at the longest: no promotion to go by is on record")


def _unfinished(stage: Stage, record: Record, release: Release) -> str:
    """The dead run in the way, empty for none. Raises Conflict for a living one, Refused for a refused release."""
    abandoned = recovery.is_abandoned(stage, record)
    taken = course.choose(stage.deployment, record, release.release_id, "", abandoned=abandoned)
    return record.owner or "unknown" if taken == "recover" else ""


def _check(around: Landscape, record: Record, document: Document) -> None:
    """What preflight would refuse, as far as it can be seen from here."""
    if around.volume is not None:
        preflight.check(around.stage, record, around.store, around.volume, document)
    else:
        candidate.require_one_volume(around.stage, record, document.release.release_id)
        around.stage.serving.check_room(document.release)


def _state(around: Landscape, held: Held, release: Release) -> State:
    if held.record.live != release.release_id:
        return "new"
    return "live" if _serves(around, held, release) else "repair"


def _serves(around: Landscape, held: Held, release: Release) -> bool:
    """By what its pods answer, else by what the cluster says of them."""
    if around.volume is not None:
        return preflight.serves(around.stage, held, release)
    ready = sum(pod.ready for pod in around.stage.serving.pods(release.release_id))
    return held.record.phase == "idle" and ready >= release.replicas
