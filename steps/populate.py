"""Copy a release's files from S3 to the volume, each proved by its sha256, and publish them as one directory.

What earlier attempts finished is taken over, and what other commits have is shared with them. A directory that is
published is looked at, and never written to.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steps import copying, one_file, parallel, releases
from steps.contracts import POPULATE, PopulateInputs, PopulateOutputs
from steps.core import delta, space, transfer
from steps.core.manifest import File, Manifest
from steps.core.names import Layout, slug
from steps.core.parts import Part
from steps.core.transfer import Transfer
from steps.entry import run_step
from steps.errors import Conflict, Corrupt, Transient
from steps.nearby import OnVolume
from steps.ports.store import Store
from steps.ports.volume import Draft, Staging, Volume, WritableVolume
from steps.progress import Progress
from steps.settings import Settings

HASHERS = 2
"""Files that are read at once to see whether they are what an earlier attempt finished."""
SHOWN = 10


def populate(
    inputs: PopulateInputs, store: Store, volume: WritableVolume, layout: Layout, progress_file: Path | None = None
) -> PopulateOutputs:
    """Safe to run twice, and twice at once, on two machines too. Raises Corrupt, Missing, NoSpace."""
    manifest = releases.read(store, layout, inputs.deployment, inputs.release_id).manifest
    require_complete(store, layout, manifest)
    copied = 0
    if not is_published(volume, manifest):
        copied = publish(store, volume, layout, manifest, progress_file)
    volume.sweep(manifest.model, manifest.commit)
    return PopulateOutputs(copied_bytes=copied, reused_bytes=manifest.total_bytes - copied)


def require_complete(store: Store, layout: Layout, manifest: Manifest) -> None:
    """Raises Corrupt unless the store says that it has all files.

    It says so by the manifest, which mirror writes last: where several pods fetched shares and an object of one was
    lost meanwhile, each of them has done its part, and nobody has written it.
    """
    key = layout.manifest(manifest.model, manifest.commit)
    if store.get(key) != manifest.dump():
        raise Corrupt(
            f"the store does not have all of {manifest.model} at {manifest.commit}: {key} is missing or another one; "
            "promote it again, mirror brings what is missing"
        )


def expected(volume: Volume, manifest: Manifest) -> Transfer:
    """What there is to write, as far as names and sizes tell; nothing is read."""
    if volume.manifest(manifest.model, manifest.commit) is not None:
        return transfer.plan(manifest, manifest.files)
    staged = transfer.of_right_size(manifest, volume.staged(manifest.model, manifest.commit))
    near = delta.twins(manifest.files, manifest, volume.commits(manifest.model))
    return transfer.plan(manifest, [*staged, *(f for f in manifest.files if f.path in near)])


def is_published(volume: WritableVolume, manifest: Manifest) -> bool:
    """By names and sizes; ``checksum`` reads the content. Raises Corrupt for a directory that is another one."""
    found = volume.manifest(manifest.model, manifest.commit)
    if found is None:
        return False
    where = f"directory {slug(manifest.model)}/{manifest.commit} of the volume"
    if found.sha256 != manifest.sha256:
        raise Corrupt(f"{where} was published from another manifest; move it away if nothing serves it, promote again")
    if wrong := transfer.differences(manifest, dict(volume.sizes(manifest.model, manifest.commit))):
        raise Corrupt(
            f"{where} differs from its manifest ({'; '.join(wrong[:SHOWN])}); "
            "`python -m workflows.audit --all --repair` publishes it anew, then promote again"
        )
    return True


def publish(  # noqa: PLR0913  # what populate works with, and how it ends
    store: Store,
    volume: WritableVolume,
    layout: Layout,
    manifest: Manifest,
    progress_file: Path | None,
    *,
    instead: bool = False,
) -> int:
    """Bytes copied; what a faster attempt copied meanwhile is counted as ours.

    ``instead`` of a damaged directory that has the name now. Raises as ``populate``.
    """
    copied = 0
    try:
        with volume.stage(manifest) as staging:
            near = OnVolume.of(volume, staging, manifest)
            todo = transfer.plan(manifest, taken_over(staging, near, manifest.files))
            copied = todo.copy_bytes
            left = volume.leftovers(manifest.model, manifest.commit)
            space.require(copied, volume.free_bytes(), manifest.model, left)
            progress = Progress(progress_file, copied)
            far = near.without(todo.copy, progress)
            source = _Source(store, staging, layout, manifest)
            copying.all_files(far, source.start, source.where, progress, apart=True)
            (staging.replace if instead else staging.publish)()
    except Conflict as err:
        if not is_published(volume, manifest):
            raise Transient(f"another attempt got in the way: {err}") from err
    return copied


def taken_over(staging: Staging, near: OnVolume, files: Iterable[File]) -> list[File]:
    """Those that other attempts have finished or other commits have, each read again; they are in ``staging`` now."""
    found: list[File] = []

    def take(seen: tuple[File, bool]) -> None:
        if seen[1]:
            found.append(seen[0])

    parallel.in_order(lambda file: (file, staging.adopt(file) or near.share(file)), files, HASHERS, take)
    return found


@dataclass(frozen=True)
class _Source:
    store: Store
    staging: Staging
    layout: Layout
    manifest: Manifest

    @contextmanager
    def start(self, file: File) -> Iterator[one_file.Copy]:
        with self.staging.write(file) as draft:
            yield _Copy(self.store, copying.key(self.layout, self.manifest, file), draft)

    def where(self, file: File) -> str:
        key = copying.key(self.layout, self.manifest, file)
        return (
            f"object {key} was changed in the store; `python -m workflows.audit --all --repair` writes it anew, "
            "then promote again"
        )


@dataclass(frozen=True)
class _Copy(one_file.Copy):
    store: Store
    key: str
    draft: Draft

    def part(self, part: Part, body: memoryview) -> None:
        self.store.read_into(self.key, part.start, body)
        self.draft.write(part.start, body)

    def keep(self) -> None:
        self.draft.keep()

    def overtaken(self, err: Conflict) -> None:
        """It is the whole directory that another attempt has published."""
        raise err


def main(inputs: PopulateInputs, settings: Settings) -> PopulateOutputs:
    from steps.clients import store, volume

    layout, directory = Layout(settings.prefix), volume.Directory(settings.volume)
    return populate(inputs, store.connect(settings), directory, layout, settings.progress_file)


if __name__ == "__main__":
    sys.exit(run_step(POPULATE, main))
