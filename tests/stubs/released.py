"""A model as the steps that move bytes meet it: its files, and the release document that names them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from steps.core import manifest as manifests
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.core.release import Document, Release, Serving
from steps.ports.store import Store
from tests.stubs.store import digest
from tests.stubs.weights import safetensors

SERVING = Serving(served_name="stub", image="vllm", device="cpu", gpus=0, args=(), pod="{}")


@dataclass(frozen=True)
class Released:
    """``content`` is by path."""

    content: Mapping[str, bytes]
    model: str = "org/stub"
    commit: str = "c" * 40
    deployment: str = "chat"
    layout: Layout = field(default_factory=Layout)

    @cached_property
    def manifest(self) -> Manifest:
        files = tuple(File(path=p, size=len(b), sha256=digest(b)) for p, b in self.content.items())
        return manifests.build(self.model, self.commit, files)

    @cached_property
    def document(self) -> Document:
        release = Release(
            deployment=self.deployment,
            model=self.model,
            commit=self.commit,
            manifest_sha256=self.manifest.sha256,
            total_bytes=self.manifest.total_bytes,
            serving=SERVING,
        )
        return Document(release=release, manifest=self.manifest)

    @property
    def release_id(self) -> str:
        return self.document.release.release_id

    @property
    def manifest_key(self) -> str:
        return self.layout.manifest(self.model, self.commit)

    def key(self, path: str) -> str:
        return self.layout.model_file(self.model, self.commit, path)

    def resolve_into(self, store: Store) -> None:
        """What step resolve leaves."""
        store.put(self.layout.release(self.deployment, self.release_id), self.document.dump())

    def mirror_into(self, store: Store) -> None:
        """What step mirror leaves."""
        for path, body in self.content.items():
            with store.upload(self.key(path), len(body), digest(body)) as upload:
                upload.part(1, body)
                upload.complete()
        store.put(self.manifest_key, self.manifest.dump())


def weights(*, seed: int = 1, size: int = 4096) -> dict[str, bytes]:
    """A small sharded model, a folder in it."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    return {
        "config.json": b"{}",
        "sub/notes.txt": b"",
        first: safetensors({"a": bytes([seed]) * size}),
        second: safetensors({"b": bytes([seed + 1]) * size}),
        "model.safetensors.index.json": json.dumps({"weight_map": {"a": first, "b": second}}).encode(),
    }
