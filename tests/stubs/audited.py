"""A model that is stored and published, what may happen to each of its copies, and how one sees that it is right."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from steps import audit
from steps.clients.volume import Directory
from steps.contracts import PopulateInputs
from steps.core.audit import Subject, dump
from steps.core.names import Layout
from steps.mending import Means
from steps.populate import populate
from steps.ports.store import Store
from steps.scheduled import AuditInputs, AuditOutputs
from tests.stubs.hub import FakeHub
from tests.stubs.released import Released, weights
from tests.stubs.store import FakeStore, digest

LAYOUT = Layout("some/prefix")
SHARD = "model-00001-of-00002.safetensors"
OTHER_SHARD = "model-00002-of-00002.safetensors"


@dataclass
class Audited:
    root: Path
    store: Store = field(default_factory=FakeStore)
    content: Mapping[str, bytes] = field(default_factory=weights)
    layout: Layout = LAYOUT

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.hub = FakeHub()
        self.model = Released(self.content, commit=self.hub.publish("org/stub", dict(self.content)), layout=self.layout)
        self.model.resolve_into(self.store)
        self.model.mirror_into(self.store)
        inputs = PopulateInputs(deployment="chat", release_id=self.model.release_id)
        populate(inputs, self.store, Directory(self.root), self.layout)
        self.told: list[str] = []
        self.means = Means(store=self.store, volume=Directory(self.root), hub=lambda: self.hub, layout=self.layout)

    @property
    def published(self) -> Path:
        return self.root / "org--stub" / self.model.commit

    @property
    def manifest(self) -> Path:
        return self.root / ".manifests" / "org--stub" / f"{self.model.commit}.json"

    @property
    def served(self) -> str:
        return dump([Subject(self.model.model, self.model.commit, self.model.manifest.sha256)])

    def audit(self, **asked: object) -> AuditOutputs:
        """Of what serves, unless something else is asked for."""
        self.told.clear()
        usual = AuditInputs(commits=self.served, everything=False)
        return audit.audit(replace(usual, **asked), self.means, self.told.append)  # type: ignore[arg-type]

    def directory(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.published)): p.read_bytes() for p in self.published.rglob("*") if p.is_file()}

    def objects(self) -> dict[str, bytes]:
        """Everything in the store."""
        found = self.store.list("")
        return {key: b"".join(self.store.read(key, 0, size)) for key, size in found.items()}

    def everything(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        on_volume = {str(p): p.read_bytes() for p in sorted(self.root.rglob("*")) if p.is_file()}
        links = {str(p): bytes(p.readlink()) for p in sorted(self.root.rglob("*")) if p.is_symlink()}
        return self.objects(), {**on_volume, **links}

    def volume_is_right(self) -> bool:
        whole = self.published.is_dir() and not self.published.is_symlink()
        plain = whole and not any(p.is_symlink() for p in self.published.rglob("*"))
        manifest = self.manifest.exists() and self.manifest.read_bytes() == self.model.manifest.dump()
        return plain and manifest and self.directory() == dict(self.content)

    def store_is_right(self) -> bool:
        prefix = self.layout.model_prefix(self.model.model, self.model.commit)
        found = self.objects()
        files = {k.removeprefix(prefix): body for k, body in found.items() if k.startswith(prefix)}
        said = {path: self.store.stat(self.model.key(path)) for path in files}
        recorded = all(s and s.sha256 == digest(files[path]) for path, s in said.items())
        return (
            recorded
            and files == dict(self.content)
            and found.get(self.model.manifest_key) == self.model.manifest.dump()
        )


Damage = Callable[[Audited], object]


def flip(path: str = SHARD) -> Damage:
    def damage(world: Audited) -> None:
        """In place, as rot does: the file's own bytes, its size and name as they were."""
        with (world.published / path).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))

    return damage


def put(path: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda world: world.store.put(world.model.key(path), change(world.content[path]))


def _swap(world: Audited) -> None:
    one, other = (world.published / name for name in (SHARD, OTHER_SHARD))
    (between := world.root / "between").hardlink_to(one)
    one.unlink()
    one.hardlink_to(other)
    other.unlink()
    between.rename(other)


def _link_to_elsewhere(world: Audited) -> None:
    elsewhere = world.root / "elsewhere"
    world.published.rename(elsewhere)
    world.published.symlink_to(elsewhere)


def _link(world: Audited) -> None:
    (world.published / SHARD).rename(world.root / "elsewhere")
    (world.published / SHARD).symlink_to(world.root / "elsewhere")


def _another_manifest(world: Audited) -> bytes:
    return replace(world.model.manifest, files=world.model.manifest.files[1:]).dump()


def _empty_store(world: Audited) -> None:
    for key in (*map(world.model.key, world.content), world.model.manifest_key):
        world.store.delete(key)


ON_VOLUME: Mapping[str, tuple[str, Damage]] = {
    "flipped": (f"{SHARD}: sha256 ", flip()),
    "swapped": (f"{OTHER_SHARD}: sha256 ", _swap),
    "missing": ("config.json: missing", lambda w: (w.published / "config.json").unlink()),
    "extra": ("evil.py: not in the manifest", lambda w: (w.published / "evil.py").write_bytes(b"x")),
    "cut off": (f"{SHARD}: 100 bytes, the manifest says", lambda w: os.truncate(w.published / SHARD, 100)),
    "longer": (
        "sub/notes.txt: 1 bytes, the manifest says 0",
        lambda w: (w.published / "sub/notes.txt").write_text("x"),
    ),
    "a link": (f"{SHARD}: not a regular file", _link),
    "a folder": ("sub/notes.txt: missing", lambda w: shutil.rmtree(w.published / "sub")),
    "no manifest": ("nobody knows what should be in it", lambda w: w.manifest.unlink()),
    "no manifest that can be read": ("is not a manifest", lambda w: w.manifest.write_bytes(b"{")),
    "another manifest": ("its manifest is ", lambda w: w.manifest.write_bytes(_another_manifest(w))),
    "all of it": ("not there at all", lambda w: shutil.rmtree(w.published)),
    "a link in its place": ("is not a directory", _link_to_elsewhere),
}
IN_STORE: Mapping[str, tuple[str, Damage]] = {
    "flipped": (f"{SHARD}: sha256 ", put(SHARD, lambda b: b[:-1] + bytes([b[-1] ^ 1]))),
    "swapped": (f"{OTHER_SHARD}: sha256 ", lambda w: w.store.put(w.model.key(OTHER_SHARD), w.content[SHARD])),
    "missing": ("config.json: missing", lambda w: w.store.delete(w.model.key("config.json"))),
    "extra": ("evil.py: not in the manifest", lambda w: w.store.put(w.model.key("evil.py"), b"x")),
    "cut off": (f"{SHARD}: 100 bytes, the manifest says", put(SHARD, lambda b: b[:100])),
    "no manifest": ("its manifest is missing", lambda w: w.store.delete(w.model.manifest_key)),
    "no manifest that can be read": ("is not a manifest", lambda w: w.store.put(w.model.manifest_key, b"{")),
    "another manifest": ("its manifest is ", lambda w: w.store.put(w.model.manifest_key, _another_manifest(w))),
    "all of it": ("not there at all", _empty_store),
}
"""What is told of each, and how it is done."""
