"""One machine with an S3 and a Hub of its own, and a small model that gets new commits: what a promotion needs."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from steps.clients import store
from steps.core.names import Layout, slug
from steps.settings import Settings
from tests.stubs.clients import Chat
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.leftovers import processes_of
from tests.stubs.machine import STUB, Ended, Machine, served_root
from tests.stubs.s3 import S3
from tests.stubs.weights import write_model

MODEL = "acme/tiny"
DEPLOYMENT = "chat"
TOKEN = "hf_CANARYcanaryCANARYcanaryCANARY"
ANSWER = "The capital of France is Paris."


@dataclass(frozen=True)
class Live:
    phase: str
    release_id: str
    candidate: str | None
    refused: tuple[str, ...]
    root: str


@dataclass
class World:
    machine: Machine
    hub: LocalHub
    s3: S3
    directory: Path
    prefix: str
    """In the bucket, which other worlds share."""
    model: str = MODEL
    deployment: str = DEPLOYMENT

    @property
    def slug(self) -> str:
        return slug(self.model)

    @property
    def volume(self) -> Path:
        return self.machine.home / "volume"

    def source(self, branch: str) -> Path:
        """The files that were published to it last."""
        return self.directory / "sources" / branch

    def publish(self, branch: str = "main", *, seed: int, files: dict[str, bytes] | None = None, **stub: Any) -> str:
        """A commit with its own weights (``seed``), which the stub serves as ``stub`` says."""
        source = self.source(branch)
        shutil.rmtree(source, ignore_errors=True)
        write_model(source, seed=seed, files=files, answer=ANSWER, **stub)
        content = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
        return self.hub.publish(self.model, content, branch)

    def list_also(self, commit: str, **file: Any) -> None:
        """Have the Hub name one more file than there is: names and sizes that no directory could hold."""
        described = self.hub.root / self.slug / "commits" / f"{commit}.json"
        value = json.loads(described.read_text())
        blob = {"path": "x", "size": 1, "sha256": "0" * 64, "blob_id": "0" * 40, "lfs": True, **file}
        described.write_text(json.dumps({**value, "files": [*value["files"], blob]}))

    def catalog(self, **entry: Any) -> None:
        catalog = {"deployments": {self.deployment: {"model": self.model, "served_name": "tiny", **entry}}}
        (self.directory / "catalog.yaml").write_text(json.dumps(catalog))  # JSON is YAML

    def arguments(self, revision: str = "main") -> tuple[str, ...]:
        return "--local", "--model", self.model, "--revision", revision

    def start_promotion(self, revision: str = "main", *args: str, **environ: str) -> subprocess.Popen[str]:
        return self.machine.start("promote", *self.arguments(revision), *args, **environ)

    def promote(self, revision: str = "main", *args: str, **environ: str) -> Ended:
        return self.machine.end(self.start_promotion(revision, *args, **environ))

    @property
    def url(self) -> str:
        """Of the endpoint."""
        known = json.loads((self.machine.home / "serving" / self.deployment / "endpoint.json").read_text())
        return f"http://127.0.0.1:{known['port']}"

    def live(self) -> Live:
        """What clients get, and what the record says of it."""
        record = self.machine.record(self.deployment)
        return Live(
            record["phase"], record["live"], record["candidate"], tuple(record["refused"]), served_root(self.url)
        )

    @property
    def chat(self) -> Chat:
        """Whom clients ask."""
        return Chat(self.known_url, "tiny")

    def known_url(self) -> str | None:
        """None before there is an endpoint."""
        try:
            return self.url
        except FileNotFoundError:
            return None

    def status(self) -> dict[str, Any]:
        """As the command tells it."""
        return self.machine.status(self.deployment)

    def history(self) -> list[dict[str, Any]]:
        return self.machine.history(self.deployment)

    def server_pids(self) -> set[int]:
        """Of the model servers that run on this machine now."""
        return {
            p.pid
            for p in psutil.process_iter(["cmdline"])
            if STUB.split()[1] in (p.info["cmdline"] or ()) and any(str(self.volume) in a for a in p.info["cmdline"])
        }

    def settings(self) -> Settings:
        return self.s3.settings(PREFIX=self.prefix, VOLUME=str(self.volume), SERVING=f"local://{self.machine.home}")

    def objects(self) -> dict[str, int]:
        """What the bucket holds, with sizes."""
        return dict(store.connect(self.settings()).list(self.prefix + "/"))

    def tamper(self, commit: str, path: str) -> None:
        """Flip a bit of an object, and keep what its writer said of it."""
        bucket, key = store.connect(self.settings()), Layout(self.prefix).model_file(self.model, commit, path)
        known = bucket.stat(key)
        assert known is not None
        assert known.sha256 is not None
        body = bytearray(b"".join(bucket.read(key, 0, known.size)))
        body[-1] ^= 1
        with bucket.upload(key, known.size, known.sha256) as upload:
            upload.part(1, bytes(body))
            upload.complete()

    def remove_from_volume(self, commit: str) -> None:
        shutil.rmtree(self.volume / self.slug / commit, ignore_errors=True)

    def check_no_canary(self) -> None:
        """Neither token nor key is in anything that was printed or written."""
        canaries = (TOKEN.encode(), self.s3.who.secret_key.encode())
        written = [p for p in self.machine.home.rglob("*") if p.is_file() and not p.is_symlink()]
        assert written
        told = [str(p) for p in written if any(c in p.read_bytes() for c in canaries)]
        told += [text for text in self.machine.said if any(c.decode() in text for c in canaries)]
        bucket = store.connect(self.settings())
        for key, size in bucket.list(self.prefix + "/").items():
            body = b"".join(bucket.read(key, 0, size))
            told += [key for c in canaries if c in body]
        assert not told


@contextmanager
def world(directory: Path, s3: S3) -> Iterator[World]:
    """Afterwards nothing of it runs, and no secret was told."""
    home, prefix = directory / "home", uuid.uuid4().hex
    home.mkdir(parents=True)
    with local_hub(directory / "hub") as hub, pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environ().items():
            patch.setenv(name, value)  # for what a test looks up in the store
        (hub.root / "tokens.json").write_text(json.dumps({TOKEN: []}))
        environ = {
            **s3.environ(),
            **hub.environ(),
            "HF_TOKEN": TOKEN,
            "VLLM_PROMOTE_PREFIX": prefix,
            "VLLM_PROMOTE_CATALOG": str(directory / "catalog.yaml"),
        }
        made = World(Machine(home, environ), hub, s3, directory, prefix)
        made.catalog()
        try:
            yield made
            made.check_no_canary()
        finally:
            stopped = made.machine.run("stop", "--local")
        assert stopped.code == 0, stopped.text
        assert not processes_of(home)
