"""One machine for all contestants: a store, a Hub and a disk, and a model that is on them."""

import os
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from steps import parallel
from steps.clients import store as stores
from steps.clients.local.addresses import HOST
from steps.clients.place import Place
from steps.core import manifest as manifests
from steps.core import parts
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.parts import MiB
from steps.core.release import Document, Release
from tests.bench import link
from tests.bench.cases import Case
from tests.bench.delay import Delay, delayed
from tests.stubs import s3 as servers
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.proxy import proxy
from tests.stubs.released import SERVING
from tests.stubs.s3 import S3
from workflows.local.services.hub_disk import publish, repository

MODEL = "bench/model"
DEPLOYMENT = "chat"
NOWHERE_ELSE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), f"127.0.0.1,localhost,{link.SERVERS}"),
}
"""A contestant that was not told of our store, or did not listen, asks nobody outside: at that port nobody is."""


@dataclass(frozen=True)
class Model:
    """Published on the Hub; ``files`` is the directory it was made from, ``before`` an earlier commit of it."""

    manifest: Manifest
    document: Document
    files: Path
    before: "Model | None" = None

    def is_of(self, path: str) -> bool:
        """Whether it is no file of the earlier commit."""
        return self.before is None or self.before.manifest.commit not in path

    @property
    def release_id(self) -> str:
        return self.document.release.release_id

    @property
    def mib(self) -> float:
        return self.manifest.total_bytes / MiB


@dataclass(frozen=True)
class Stage:
    """``near`` is the store that contestants know as ``s3``, without what lies between them and it."""

    directory: Path
    hub: LocalHub
    s3: S3
    near: S3

    def environ(self) -> Mapping[str, str]:
        """What leads a contestant to the Hub and the store."""
        return {
            **self.hub.environ(),
            **self.s3.environ(),
            "AWS_DEFAULT_REGION": "us-east-1",
            **_for_hf_s3(self.s3),
            **NOWHERE_ELSE,
        }

    def make(self, case: Case) -> Model:
        """Safetensors of random bytes, no two alike."""
        files = self.directory / "files"
        files.mkdir()
        for path in case.paths():
            _write(files / path, case.size)
        first = self.published(files)
        if not case.changed:
            return first
        before = shutil.copytree(files, self.directory / "before", copy_function=os.link)
        for path in case.paths()[: case.changed]:
            (files / path).unlink()  # and not written to: it has other names
            _write(files / path, case.size)
        return replace(self.published(files), before=replace(first, files=before))

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
        made = Model(manifest, document, files)
        self.resolve(made)
        return made

    def resolve(self, model: Model) -> None:
        """What step resolve leaves in the store."""
        store = stores.connect(self.near.settings())
        store.put(Layout().release(DEPLOYMENT, model.release_id), model.document.dump())

    def fill(self, model: Model) -> None:
        """What step mirror leaves in the store, for the earlier commit too."""
        if model.before:
            self.fill(model.before)
        store, layout = stores.connect(self.near.settings()), Layout()

        def send(file: File) -> None:
            key = layout.model_file(MODEL, model.manifest.commit, file.path)
            with store.upload(key, file.size, file.sha256) as upload, (model.files / file.path).open("rb") as body:
                for part in parts.cut(file.size).parts():
                    upload.part(part.number, body.read(part.size))
                upload.complete()

        parallel.in_order(send, model.manifest.files, 4, parallel.nothing)
        store.put(layout.manifest(MODEL, model.manifest.commit), model.manifest.dump())

    def forget(self, model: Model) -> None:
        """All of it in the store but the release document. Only with its bucket does SeaweedFS give up the space."""
        servers.renew(self.near)
        self.resolve(model)
        if model.before:
            self.fill(model.before)

    def sizes(self, model: Model) -> list[int]:
        """Of the model's files in the store, wherever they lie."""
        listed = stores.connect(self.near.settings()).list("")
        return [size for key, size in listed.items() if key.endswith(".safetensors") and model.is_of(key)]

    def publish_on(self, volume: Path, model: Model) -> None:
        """What step populate leaves; the files are links to those that peers read."""
        place = Place.of(volume, MODEL, model.manifest.commit)
        if place.published.exists():
            return
        place.published.parent.mkdir(parents=True)
        shutil.copytree(model.files, place.published, copy_function=os.link)
        place.manifest.parent.mkdir(parents=True)
        place.manifest.write_bytes(model.manifest.dump())

    def publish_uncached(self, volume: Path, model: Model) -> None:
        """As ``publish_on``, and none of it in the machine's memory."""
        self.publish_on(volume, model)
        for file in model.manifest.files:
            with (model.files / file.path).open("rb") as opened:
                os.fsync(opened.fileno())  # what is not on the disk yet stays
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def stage(directory: Path, by: Delay | None = None) -> Iterator[Stage]:
    """Below a directory that is made for it and removed after it. With ``by``, both servers are so far away."""
    directory.mkdir(parents=True)
    try:
        with ExitStack() as lines, servers.server(directory / "store") as near:

            def reached(endpoint: str) -> str:
                return lines.enter_context(delayed(endpoint, by, link.host() or HOST)) if by else endpoint

            with (
                local_hub(directory / "hub", host=link.host() or HOST, reached=reached) as hub,
                _seen_from_afar(near, reached) as s3,
            ):
                for name, value in near.environ().items():
                    os.environ[name] = value
                yield Stage(directory, hub, s3, near)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _seen_from_afar(near: S3, reached: Callable[[str], str]) -> Iterator[S3]:
    """SeaweedFS listens on loopback only; over a link it is reached through a relay, if not through another line."""
    endpoint = reached(near.endpoint)
    if endpoint != near.endpoint or not link.host():
        yield replace(near, endpoint=endpoint)
        return
    with proxy(near.endpoint, host=link.SERVERS) as relay:
        yield replace(near, endpoint=relay.endpoint)


def _for_hf_s3(s3: S3) -> Mapping[str, str]:
    """In the words of hf-s3-mirror."""
    return {
        "S3_ENDPOINT_URL": s3.endpoint,
        "S3_ACCESS_KEY": s3.who.access_key,
        "S3_SECRET_KEY": s3.who.secret_key,
        "S3_REGION": "us-east-1",
    }


def _write(path: Path, size: int) -> None:
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    content = size - 8 - len(header % (size, size))
    text = header % (content, content)
    text += b" " * (size - 8 - content - len(text))
    with path.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        while left := size - f.tell():
            f.write(os.urandom(min(left, 4 * MiB)))
