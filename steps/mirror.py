"""Copy a release's files from the Hub into S3, without a scratch disk, each proved by its sha256 on the way.

What S3 has already is not copied again; what it has of another commit it copies itself. The manifest is written last:
its presence means that all files are there. Where the volume is at hand, what comes goes there in the same pass.

Of a very large model each of several pods fetches a share. Who finds after its own work that all of it is there writes
the manifest: the last one to end does, for S3 shows at once what was written.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from steps import copying, nearby, one_file, parallel, releases, tee
from steps.contracts import MIRROR, MirrorInputs, MirrorOutputs
from steps.core import parts, shards, transfer
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.parts import Part
from steps.core.transfer import Transfer
from steps.entry import run_step
from steps.errors import Conflict, Corrupt, Transient
from steps.ports.hub import Hub, Ranges
from steps.ports.store import Object, Store, Upload
from steps.ports.volume import WritableVolume
from steps.progress import Progress
from steps.settings import Settings
from steps.tee import Leg


def mirror(  # noqa: PLR0913  # what it works with, and who watches it
    inputs: MirrorInputs,
    hub: Hub,
    store: Store,
    layout: Layout,
    progress_file: Path | None = None,
    *,
    volume: WritableVolume | None = None,
) -> MirrorOutputs:
    """Safe to run twice, and twice at once. Raises Corrupt, Missing, NoSpace; nothing of what ``volume`` does."""
    manifest = releases.read(store, layout, inputs.deployment, inputs.release_id).manifest
    share = shards.share(manifest, inputs.shard)
    todo = survey(store, layout, manifest, share)
    progress = Progress(progress_file, todo.copy_bytes)
    if not is_complete(store, layout, manifest):  # else it is healed, perhaps of what was copied: from the Hub alone
        done = nearby.copied_in_store(store, layout, manifest, todo.copy, progress)
        todo = transfer.plan(share, (*todo.reuse, *done))
    with tee.beside(volume, manifest, todo.copy) as onward:
        source = replace(from_hub(hub, store, layout, manifest), onward=onward.write)
        copying.all_files(todo.copy, source.start, source.where, progress)
        if share is manifest:
            complete(store, layout, manifest)
            onward.publish()
        else:
            onward.leave()  # to populate, which takes over what all of them have brought
            if not survey(store, layout, manifest).copy:  # what others put there before this look, it shows
                complete(store, layout, manifest)
    return MirrorOutputs(copied_bytes=todo.copy_bytes, reused_bytes=todo.reuse_bytes, volume_bytes=onward.copied_bytes)


def complete(store: Store, layout: Layout, manifest: Manifest) -> None:
    """Write the manifest: all that it names is there. Raises Corrupt for another one in its place."""
    if not is_complete(store, layout, manifest):
        store.create(layout.manifest(manifest.model, manifest.commit), manifest.dump())
        is_complete(store, layout, manifest)  # whoever wrote it, it must be this one


def survey(store: Store, layout: Layout, manifest: Manifest, share: Manifest | None = None) -> Transfer:
    """What there is to do, of all files or of a share of them: nothing is written.

    Raises Corrupt when S3 has this commit with another manifest.
    """
    share = share or manifest
    prefix = layout.model_prefix(manifest.model, manifest.commit)
    sizes = {key.removeprefix(prefix): size for key, size in store.list(prefix).items()}
    candidates = transfer.of_right_size(share, sizes)
    if is_complete(store, layout, manifest):  # so each was proved once; populate proves it again
        return transfer.plan(share, candidates)
    return transfer.plan(share, _proved(store, layout, manifest, candidates))


def expected(store: Store, layout: Layout, manifest: Manifest) -> Transfer:
    """What there is to fetch, for a plan: what other commits have is not fetched. Nothing is written."""
    todo = survey(store, layout, manifest)
    near = {} if is_complete(store, layout, manifest) else nearby.in_store(store, layout, manifest, todo.copy)
    return transfer.plan(manifest, (*todo.reuse, *(f for f in todo.copy if f.path in near)))


def is_complete(store: Store, layout: Layout, manifest: Manifest) -> bool:
    """Whether the manifest is in S3. Raises Corrupt for another one in its place."""
    key = layout.manifest(manifest.model, manifest.commit)
    found = store.get(key)
    if found not in (None, manifest.dump()):
        raise Corrupt(f"{key} is not the manifest of this release; see who wrote it, delete it, then promote again")
    return found is not None


def _proved(store: Store, layout: Layout, manifest: Manifest, files: tuple[File, ...]) -> list[File]:
    """Those whose writer proved the same sha256: left by a run that did not get to the end."""
    found: list[File] = []

    def look(file: File) -> tuple[File, Object | None]:
        return file, store.stat(copying.key(layout, manifest, file))

    def take(seen: tuple[File, Object | None]) -> None:
        file, there = seen
        if there == Object(size=file.size, sha256=file.sha256):
            found.append(file)

    parallel.in_order(look, files, parts.MAX_WORKERS, take)
    return found


def from_hub(hub: Hub, store: Store, layout: Layout, manifest: Manifest) -> "Source":
    def opened(file: File) -> AbstractContextManager[Ranges]:
        return nullcontext(hub.open(manifest.model, manifest.commit, file))

    return Source(opened, store, layout, manifest)


def nowhere(_file: File) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Source:
    """Of single files of the store; ``open`` is where they come from, ``onward`` where else they go."""

    open: Callable[[File], AbstractContextManager[Ranges]]
    store: Store
    layout: Layout
    manifest: Manifest
    onward: Callable[[File], AbstractContextManager[Leg | None]] = nowhere

    @contextmanager
    def start(self, file: File) -> Iterator[one_file.Copy]:
        """The object is written, in one piece, only if its sha256 is the file's."""
        key = copying.key(self.layout, self.manifest, file)
        with (
            self.open(file) as ranges,
            self.store.upload(key, file.size, file.sha256) as upload,
            self.onward(file) as leg,
        ):
            yield _Copy(ranges, upload, leg, self.store, key, file)

    def where(self, file: File) -> str:
        return (
            f"the Hub sends other bytes than it lists for {self.manifest.model} at {self.manifest.commit}, and none "
            f"were kept at {copying.key(self.layout, self.manifest, file)}; try later or another commit"
        )


@dataclass(frozen=True)
class _Copy(one_file.Copy):
    ranges: Ranges
    upload: Upload
    leg: Leg | None
    store: Store
    key: str
    file: File

    def part(self, part: Part, body: memoryview) -> None:
        came = self.ranges.read(part.start, part.end) if part.size else b""
        body[:] = came
        self.upload.part(part.number, came)
        if self.leg:
            self.leg.part(part.start, body)

    def keep(self) -> None:
        self.upload.complete()
        if self.leg:
            self.leg.keep()

    def overtaken(self, err: Conflict) -> None:
        if self.store.stat(self.key) != Object(size=self.file.size, sha256=self.file.sha256):
            raise Transient(
                f"another run ended the upload of {self.key}; running again finds out what it left"
            ) from err


def main(inputs: MirrorInputs, settings: Settings) -> MirrorOutputs:
    from steps.clients import hub, store, volume

    at_hand = volume.Directory(settings.volume) if settings.one_pass else None
    places = hub.connect(settings), store.connect(settings), Layout(settings.prefix)
    return mirror(inputs, *places, settings.progress_file, volume=at_hand)


if __name__ == "__main__":
    sys.exit(run_step(MIRROR, main))
