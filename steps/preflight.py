"""Fail in seconds what would fail in an hour, and find out whether this release serves already."""

import logging
import sys

from steps import populate, releases
from steps.candidate import require_one_volume, require_rollback_target
from steps.contracts import PREFLIGHT, PreflightInputs, PreflightOutputs
from steps.core import space
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Document, Release
from steps.entry import run_step
from steps.errors import Corrupt
from steps.health import healthy
from steps.interference import noticed
from steps.ports.serving import Held
from steps.ports.store import Store
from steps.ports.volume import Volume
from steps.recovery import settle
from steps.settings import Settings
from steps.stage import Stage, connect

SHOWN = 5

log = logging.getLogger(__name__)


def preflight(
    inputs: PreflightInputs, stage: Stage, store: Store, volume: Volume, document: Document
) -> PreflightOutputs:
    """Writes nothing, unless a dead owner left work unfinished: that is put right first."""
    held = settle(stage, document.release, inputs.owner)
    said = noticed(stage, held.record, document.release)
    if serves(stage, held, document.release):
        return _outputs("live", None, said)
    return _outputs("new", check(stage, held.record, store, volume, document), said)


def check(stage: Stage, record: Record, store: Store, volume: Volume, document: Document) -> Release | None:
    """What must hold before a byte moves; the rollback target. Writes nothing, so that a dry run asks the same."""
    require_one_volume(stage, record, document.release.release_id)
    target = _rollback_target(stage, record, document.release.release_id, volume)
    manifest, missing = document.manifest, populate.expected(volume, document.manifest)
    left = volume.leftovers(manifest.model, manifest.commit)
    space.require(missing.copy_bytes, volume.free_bytes(), manifest.model, left)
    stage.serving.check_room(document.release)
    store.check_writable()
    return target


def serves(stage: Stage, held: Held, release: Release) -> bool:
    """Whether nothing is left to do."""
    return (held.record.phase, held.record.live) == ("idle", release.release_id) and healthy(stage, release)


def _rollback_target(stage: Stage, record: Record, release_id: str, volume: Volume) -> Release | None:
    """What serves now, seen to be whole by its sizes; ``checksum`` reads it. None: a first deployment, or a repair."""
    if record.live in (None, release_id):
        return None
    target = require_rollback_target(stage, record)
    assert target is not None  # the live release is known by now
    manifest = volume.manifest(target.model, target.commit)
    if manifest is None or manifest.sha256 != target.manifest_sha256:
        raise Corrupt(_no_target(target, "its directory is not published on the volume"))
    sizes = volume.sizes(target.model, target.commit)
    if wrong := [f.path for f in manifest.files if sizes.get(f.path) != f.size]:
        raise Corrupt(_no_target(target, f"missing or of another size: {', '.join(wrong[:SHOWN])}"))
    return target


def _no_target(target: Release, why: str) -> str:
    return (
        f"refusing: no verified rollback target, release {target.release_id} ({target.model} at {target.commit}) "
        f"serves now and could not be started again: {why}; put its files back first, "
        "`python -m workflows.audit --repair` does it"
    )


def _outputs(state: str, target: Release | None, said: str) -> PreflightOutputs:
    return PreflightOutputs(
        state=state,
        previous_model=target.model if target else "",
        previous_commit=target.commit if target else "",
        previous_manifest_sha256=target.manifest_sha256 if target else "",
        noticed=said,
    )


def main(inputs: PreflightInputs, settings: Settings) -> PreflightOutputs:
    from steps.clients import store, volume

    documents = store.connect(settings)
    document = releases.read(documents, Layout(settings.prefix), inputs.deployment, inputs.release_id)
    stage = connect(settings, inputs.deployment, inputs.run)
    return preflight(inputs, stage, documents, volume.Directory(settings.volume), document)


if __name__ == "__main__":
    sys.exit(run_step(PREFLIGHT, main))
