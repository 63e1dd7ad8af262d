"""Pin a model to a commit, know its every file, judge it, and write down the release that will be promoted."""

import hashlib
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from steps.contracts import RESOLVE, ResolveInputs, ResolveOutputs
from steps.core import manifest as manifests
from steps.core import shards
from steps.core.manifest import File, Manifest
from steps.core.names import Layout, check_deployment, check_model, check_revision, is_commit
from steps.core.release import Document, Release, parse_document
from steps.core.selection import select
from steps.entry import run_step
from steps.errors import Corrupt, Transient
from steps.parallel import in_order
from steps.ports.hub import Hub, HubFile
from steps.ports.store import Store
from steps.settings import Settings

if TYPE_CHECKING:  # pydantic and yaml take longer to load than --help may take to answer
    from steps.core.catalog import Catalog
    from steps.core.policy import Examined

READERS = 4
SIDE_BY_SIDE = 2**20
"""Bytes of a file up to which several are read at a time; each is in memory as a whole."""
KNOWN_SHOWN = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The release with its manifest; ``left_behind`` is empty where the manifest came from the store."""

    document: Document
    left_behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    manifest: Manifest
    examined: "tuple[Examined, ...]"
    left_behind: tuple[str, ...]
    committed: float | None = None


def resolve(inputs: ResolveInputs, hub: Hub, store: Store, catalog: "Catalog", settings: Settings) -> ResolveOutputs:
    """Make the store hold the release document; one that is there and the same is not written again."""
    document = plan(inputs, hub, store, catalog, settings).document
    release = document.release
    key, body = Layout(settings.prefix).release(release.deployment, release.release_id), document.dump()
    if store.get(key) != body:
        store.put(key, body)
    return outputs(document, settings)


def outputs(document: Document, settings: Settings) -> ResolveOutputs:
    """What the next steps are told of it, and how many pods shall fetch it."""
    release = document.release
    return ResolveOutputs(
        deployment=release.deployment,
        release_id=release.release_id,
        model=release.model,
        commit=release.commit,
        manifest_sha256=release.manifest_sha256,
        total_bytes=release.total_bytes,
        shards=shards.dump(shards.names(document.manifest, int(settings.shard_gib * shards.GiB))),
        committed=release.committed or 0.0,
    )


def plan(inputs: ResolveInputs, hub: Hub, store: Store, catalog: "Catalog", settings: Settings) -> Resolved:
    """What ``resolve`` will write down; writes nothing. Raises BadInput, Missing, Refused, Corrupt, Transient.

    Parameters are checked here although the command line did, because the UI goes past it.
    """
    from steps.core import catalog as catalogs
    from steps.core import policy

    model, revision = check_model(inputs.model), check_revision(inputs.revision)
    deployment, entry = catalogs.select(catalog, model, check_deployment(inputs.deployment))
    found = _find(model, revision, hub, store, Layout(settings.prefix))
    policy.judge(found.examined, catalog, deployment, model, found.manifest.commit)
    release = catalogs.release(entry, deployment, found.manifest, settings.device, settings.registry)
    release = replace(release, committed=found.committed or _known_since(release, store, Layout(settings.prefix)))
    return Resolved(Document(release=release, manifest=found.manifest), found.left_behind)


def _known_since(release: Release, store: Store, layout: Layout) -> float | None:
    """As it was resolved when the Hub still told."""
    key = layout.release(release.deployment, release.release_id)
    try:
        known = store.get(key)
        return parse_document(known, key).release.committed if known else None
    except Corrupt:  # it is written anew
        return None


def _find(model: str, revision: str, hub: Hub, store: Store, layout: Layout) -> _Found:
    """By the Hub; by the store when the Hub is down and the commit is known."""
    commit = revision if is_commit(revision) else None
    try:
        commit = hub.commit(model, revision)
        log.info("%s at %s is %s", model, revision, commit)
        return _on_the_hub(model, commit, hub)
    except Transient as err:
        found = commit and _in_the_store(model, commit, store, layout)
        if not found:
            raise Transient(f"{err}; {_way_on(model, commit, store, layout)}") from err
        log.warning("%s; resolved from the store", err)
        return found


def _on_the_hub(model: str, commit: str, hub: Hub) -> _Found:
    selection = select(hub.tree(model, commit))
    examined: list[Examined] = []
    small = [f for f in selection.to_read if f.size <= SIDE_BY_SIDE]
    large = [f for f in selection.to_read if f.size > SIDE_BY_SIDE]
    for files, readers in ((small, READERS), (large, 1)):
        in_order(lambda file: _read(model, commit, hub, file), files, readers, examined.append)
    found = {f.path: File(f.path, f.size, f.sha256) for f in selection.kept if f.sha256}
    found |= {e.file.path: e.file for e in examined}
    manifest, since = manifests.build(model, commit, tuple(found.values())), hub.committed(model, commit)
    return _Found(manifest, tuple(examined), selection.left_behind, since)


def _read(model: str, commit: str, hub: Hub, file: HubFile) -> "Examined":
    from steps.core.policy import examine

    if file.sha256 is None:
        body = hub.small_file(model, commit, file)
        return examine(File(file.path, file.size, hashlib.sha256(body).hexdigest()), body)
    promised = File(file.path, file.size, file.sha256)
    return examine(promised, _proved(promised, [hub.open(model, commit, promised).read(0, file.size)], f"{model}'s"))


def _in_the_store(model: str, commit: str, store: Store, layout: Layout) -> _Found | None:
    """None where the commit was never mirrored whole."""
    from steps.core.policy import examine, matters

    key = layout.manifest(model, commit)
    body = store.get(key)
    if body is None:
        return None
    manifest = manifests.parse(body, key)
    if (manifest.model, manifest.commit) != (model, commit):
        raise Corrupt(f"{key} is the manifest of {manifest.model} at {manifest.commit}; delete it and run again")
    examined = (
        examine(f, _proved(f, store.read(layout.model_file(model, commit, f.path), 0, f.size), "the store's"))
        for f in manifest.files
        if matters(f.path)
    )
    return _Found(manifest, tuple(examined), left_behind=())


def _proved(file: File, pieces: Iterable[bytes], whose: str) -> bytes:
    body = b"".join(pieces)
    found = hashlib.sha256(body).hexdigest()
    if found != file.sha256:
        raise Corrupt(f"{whose} {file.path} has sha256 {found}, and {file.sha256} was promised; run again")
    return body


def _way_on(model: str, commit: str | None, store: Store, layout: Layout) -> str:
    """What to do while the Hub is down."""
    prefix = layout.manifests_prefix(model)
    known = [key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix)]
    shown = ", ".join(known[:KNOWN_SHOWN])
    if commit:
        return f"{commit} is not in the store, so it cannot be resolved without the Hub"
    if not known:
        return "the store has no commit of the model either"
    return f"a commit that the store has needs no Hub: give one as the revision, of {shown}"


def main(inputs: ResolveInputs, settings: Settings) -> ResolveOutputs:
    from steps.clients import catalog, hub, store

    return resolve(inputs, hub.connect(settings), store.connect(settings), catalog.read(settings), settings)


if __name__ == "__main__":
    sys.exit(run_step(RESOLVE, main))
