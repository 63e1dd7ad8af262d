"""What a test needs of the world around the volume: a store with a model in it, and steps as pods run them."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from steps.clients.volume import Directory
from steps.contracts import CHECKSUM, MIRROR, POPULATE, ChecksumInputs, MirrorInputs, PopulateInputs
from tests.nfs.server import OWNER, Server, Volume, until
from tests.stubs import process
from tests.stubs.hub import LocalHub
from tests.stubs.process import StepProcess
from tests.stubs.proxy import Proxy, proxy
from tests.stubs.released import Released
from tests.stubs.s3 import S3
from workflows.local.services.hub_answers import Response

CAPABILITIES = "+dac_override,+dac_read_search"
"""For the checkout, which may lie in root's own home. To an NFS server they mean nothing: it goes by the uid."""
POD = (
    *("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"),
    *(f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"),
)
LARGE = "model-00002-of-00002.safetensors"
"""The file of a model that is held back; it is of several parts, and goes past the client's cache."""
SMALL = "model-00001-of-00002.safetensors"
"""One that goes through it; all small ones come before the large one."""


class Gate:
    """The way to the store, where what asks for one object is held back until it is opened."""

    def __init__(self, network: Proxy, path: str) -> None:
        self.endpoint = network.endpoint
        self.reached = threading.Event()
        self._path = path.encode()
        self._opened = threading.Event()
        network.up = self._pass

    def wait(self) -> None:
        assert self.reached.wait(60), "the step never came to ask for it"

    def open(self) -> None:
        self._opened.set()

    def _pass(self, data: bytes) -> bytes:
        if self._path in data:
            self.reached.set()
            self._opened.wait()
        return data


class HubGate:
    """The same before the Hub: its answer to who asks for the held file waits."""

    def __init__(self, hub: LocalHub) -> None:
        self._opened = threading.Event()
        self._fault = hub.inject("download", self._hold, path=LARGE, times=100)

    def wait(self) -> None:
        until(lambda: self._fault.hit > 0)

    def open(self) -> None:
        self._opened.set()

    def _hold(self, answer: Response) -> Response:
        self._opened.wait(60)
        return answer


class Site:
    def __init__(self, server: Server, volume: Volume, s3: S3, scratch: Path) -> None:
        self.server = server
        self.volume = volume
        self._s3 = s3
        self._scratch = scratch
        self._exits = ExitStack()
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def gate(self, path: str = LARGE) -> Gate:
        made = Gate(self._exits.enter_context(proxy(self._s3.endpoint)), path)
        self._exits.callback(made.open)
        return made

    def populate(
        self, mount: Path, model: Released, *, gate: Gate | None = None, under: Sequence[str] = POD
    ) -> StepProcess:
        """Started."""
        inputs = PopulateInputs(deployment=model.deployment, release_id=model.release_id)
        environ = {**self._s3.environ(), **({"AWS_ENDPOINT_URL": gate.endpoint} if gate else {})}
        return self._start(process.start(POPULATE, inputs, environ | self._on(mount), self._next(), under=under))

    def mirror(self, mount: Path, model: Released, hub: LocalHub) -> StepProcess:
        """With the volume at hand."""
        inputs = MirrorInputs(deployment=model.deployment, release_id=model.release_id)
        environ = {**self._s3.environ(), **hub.environ()}
        return self._start(process.start(MIRROR, inputs, environ | self._on(mount), self._next(), under=POD))

    def checksum(self, mount: Path, model: Released) -> StepProcess:
        manifest = model.manifest
        inputs = ChecksumInputs(model=model.model, commit=model.commit, manifest_sha256=manifest.sha256)
        return self._start(process.start(CHECKSUM, inputs, self._on(mount), self._next(), under=POD))

    def signal(self, step: StepProcess, number: int) -> None:
        for child in step.children():
            os.kill(child, number)

    def published(self, model: Released) -> Path:
        """On the server's own disk."""
        return self.volume.path / "org--stub" / model.commit

    def staging(self) -> list[str]:
        """What attempts left, as the server sees it; of an attempt that runs, its directory and what is in it."""
        top = self.volume.path / ".staging" / "org--stub"
        return sorted(str(path.relative_to(top)) for path in top.rglob("*"))

    def wait_for_all_but(self, gate: Gate, model: Released, held: str = LARGE) -> None:
        """Return once of all that come no later than the file behind the gate it is the only one not finished."""
        gate.wait()
        until(lambda: self._finished() == set(model.content) - {LARGE, held})

    def _finished(self) -> set[str]:
        """Paths in the model, of whichever attempt."""
        attempts = (self.volume.path / ".staging" / "org--stub").iterdir()
        found = ((path, attempt) for attempt in attempts for path in attempt.rglob("*"))
        return {str(path.relative_to(top)) for path, top in found if path.is_file() and ".partial-" not in path.name}

    def attempts(self) -> int:
        return len({path.partition("/")[0] for path in self.staging()})

    def is_whole(self, model: Released) -> bool:
        """By every byte on the server's disk, and its manifest."""
        top = self.published(model)
        found = {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}
        return found == model.content and Directory(self.volume.path).manifest(*names(model)) == model.manifest

    def _on(self, mount: Path) -> dict[str, str]:
        return {"VLLM_PROMOTE_VOLUME": str(mount), "HOME": "/nonexistent"}

    def _next(self) -> Path:
        self._started += 1
        return self._scratch / str(self._started)

    def _start(self, started: StepProcess) -> StepProcess:
        self._exits.callback(_end, started)
        return started


def _end(started: StepProcess) -> None:
    """What the test did not wait for."""
    started.popen.kill()
    started.popen.wait()
    if started.popen.stderr:
        started.popen.stderr.close()


def names(model: Released) -> tuple[str, str]:
    return model.model, model.commit


@contextmanager
def as_pod() -> Iterator[None]:
    """For what the test itself does through a mount."""
    os.setegid(OWNER)
    os.seteuid(OWNER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
