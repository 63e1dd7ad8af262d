"""One machine for all contestants: a store, a Hub and a disk, and a model that is on them."""

import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steps import parallel
from steps.clients import store as stores
from steps.contracts import MirrorInputs, PopulateInputs
from steps.core import manifest as manifests
from steps.core import parts
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.parts import MiB
from steps.core.release import Document, Release
from tests.bench.cases import Case
from tests.stubs import s3 as servers
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.released import SERVING
from tests.stubs.s3 import S3
from workflows.local.services.hub_disk import publish, repository

MODEL = "bench/model"
DEPLOYMENT = "chat"
NOWHERE_ELSE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
}
"""A contestant that was not told of our store, or did not listen, asks nobody outside: at that port nobody is."""


@dataclass(frozen=True)
class Model:
    """Published on the Hub; ``files`` is the directory it was made from."""

    manifest: Manifest
    document: Document
    files: Path

    @property
    def release_id(self) -> str:
        return self.document.release.release_id


@dataclass(frozen=True)
class Stage:
    directory: Path
    hub: LocalHub
    s3: S3

    def environ(self) -> Mapping[str, str]:
        """What leads a contestant to the Hub and the store."""
        return {**self.hub.environ(), **self.s3.environ(), "AWS_DEFAULT_REGION": "us-east-1", **NOWHERE_ELSE}

    def make(self, case: Case) -> Model:
        """Safetensors of random bytes, no two alike."""
        files = self.directory / "files"
        files.mkdir()
        for path in case.paths():
            _write(files / path, case.size)
        return self.published(files)

    def published(self, files: Path) -> Model:
        """What is in the directory now, as a commit on the Hub and a release document in the store."""
        commit = publish(self.hub.root, MODEL, files, link=True)
        found = repository(self.hub.root, MODEL)
        described = found and found.commit(commit)
        assert described
        manifest = manifests.build(
            MODEL, commit, tuple(File(path=b.path, size=b.size, sha256=b.sha256) for b in described.files)
        )
        release = Release(
            deployment=DEPLOYMENT,
            model=MODEL,
            commit=commit,
            manifest_sha256=manifest.sha256,
            total_bytes=manifest.total_bytes,
            serving=SERVING,
        )
        document = Document(release=release, manifest=manifest)
        stores.connect(self.s3.settings()).put(Layout().release(DEPLOYMENT, release.release_id), document.dump())
        return Model(manifest, document, files)

    def fill(self, model: Model) -> None:
        """What step mirror leaves in the store."""
        store, layout = stores.connect(self.s3.settings()), Layout()

        def send(file: File) -> None:
            key = layout.model_file(MODEL, model.manifest.commit, file.path)
            with store.upload(key, file.size, file.sha256) as upload, (model.files / file.path).open("rb") as body:
                for part in parts.cut(file.size).parts():
                    upload.part(part.number, body.read(part.size))
                upload.complete()

        parallel.in_order(send, model.manifest.files, 4, parallel.nothing)
        store.put(layout.manifest(MODEL, model.manifest.commit), model.manifest.dump())

    def empty(self) -> None:
        """The bucket, the Hub and the directory, for the next model."""
        servers.clear(self.s3)
        shutil.rmtree(self.hub.root)
        self.hub.root.mkdir()
        shutil.rmtree(self.directory / "files", ignore_errors=True)


def populate_inputs(model: Model) -> PopulateInputs:
    return PopulateInputs(deployment=DEPLOYMENT, release_id=model.release_id)


def mirror_inputs(model: Model) -> MirrorInputs:
    return MirrorInputs(deployment=DEPLOYMENT, release_id=model.release_id)


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Below a directory that is made for it and removed after it."""
    directory.mkdir(parents=True)
    try:
        with servers.server(directory / "store") as s3, local_hub(directory / "hub") as hub:
            for name, value in s3.environ().items():
                os.environ[name] = value
            yield Stage(directory, hub, s3)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _write(path: Path, size: int) -> None:
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    content = size - 8 - len(header % (size, size))
    text = header % (content, content)
    text += b" " * (size - 8 - content - len(text))
    with path.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        while left := size - f.tell():
            f.write(os.urandom(min(left, 4 * MiB)))
