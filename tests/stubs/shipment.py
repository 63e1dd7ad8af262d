"""A model on its way from the Hub to a volume, its steps as processes of their own."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steps.clients import store as stores
from steps.contracts import CHECKSUM
from steps.settings import PREFIX
from steps.step import Step
from tests.stubs import process
from tests.stubs.hub import LocalHub
from tests.stubs.process import Ended, StepProcess
from tests.stubs.released import Released, weights
from tests.stubs.s3 import S3

TOKEN = "hf_CANARYcanaryCANARYcanaryCANARY"
SHARD = "model-00001-of-00002.safetensors"


@dataclass
class Shipment:
    """``content`` is on the Hub, and what resolve makes of it in S3. Two of one directory share a volume."""

    hub: LocalHub
    s3: S3
    directory: Path
    content: Mapping[str, bytes] = field(default_factory=weights)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.volume = self.directory / "volume"
        self.volume.mkdir(exist_ok=True)
        commit = self.hub.publish("org/stub", self.content)
        self.model = Released(self.content, commit=commit)
        self.store = stores.connect(self.s3.settings())
        self.model.resolve_into(self.store)

    @property
    def published(self) -> Path:
        return self.volume / "org--stub" / self.model.commit

    def environ(self) -> dict[str, str]:
        return {
            **self.hub.environ(),
            **self.s3.environ(),
            "HF_TOKEN": TOKEN,
            PREFIX + "VOLUME": str(self.volume),
            PREFIX + "STALL_SECONDS": "20",
        }

    def start(self, step: Step[Any, Any], environ: Mapping[str, str] | None = None, **popen: Any) -> StepProcess:
        self.attempts += 1
        release = {"deployment": "chat", "release_id": self.model.release_id}
        bytes_of = {"model": "org/stub", "commit": self.model.commit, "manifest_sha256": self.model.manifest.sha256}
        inputs = step.inputs(**(bytes_of if step is CHECKSUM else release))
        directory = self.directory / f"{step.name}.{self.model.commit[:7]}.{self.attempts}"
        return process.start(step, inputs, {**self.environ(), **(environ or {})}, directory, **popen)

    def run(self, step: Step[Any, Any], environ: Mapping[str, str] | None = None, **popen: Any) -> Ended:
        return self.end(self.start(step, environ, **popen))

    def end(self, started: StepProcess) -> Ended:
        """However it ended, it told no secret, and whoever failed has no output."""
        ended = started.end()
        said = json.dumps([ended.stderr, ended.sentence, dict(ended.outputs)])
        assert TOKEN not in said
        assert self.s3.who.secret_key not in said
        assert not (ended.code and ended.outputs)
        return ended

    def damage(self, path: str) -> str:
        """Other bytes of the same size under the same key."""
        key = self.model.key(path)
        body = self.model.content[path]
        self.store.put(key, bytes([body[0] ^ 1]) + body[1:])
        return key

    def debris(self) -> list[str]:
        """Names of the files that attempts have left."""
        found = (self.volume / ".staging").glob("*/*/**/*")
        return [p.name for p in found if p.is_file()]


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)
