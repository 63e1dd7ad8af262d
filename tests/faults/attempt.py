"""One attempt at populate in this process's fork, on one thread: what a test of every system call needs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from steps import checksum, entry, in_one_piece, in_parts, populate
from steps.clients import direct, fresh
from steps.clients.volume import Directory
from steps.contracts import POPULATE, PopulateInputs, PopulateOutputs
from steps.core import parts
from steps.core.names import Layout
from steps.settings import PREFIX, Settings
from tests.faults import volume_state
from tests.stubs.released import Released
from tests.stubs.store import FakeStore
from tests.stubs.weights import safetensors

MODEL = Released(
    {"config.json": b"{}", "sub/a.txt": b"a", "model.safetensors": safetensors({"w": bytes(direct.LEAST)})}
)
"""The large one goes past the cache, but for its end."""
OLD = Released({"config.json": b"{}", "model.safetensors": safetensors({"w": bytes(8)})}, commit="0" * 40)
"""Published before, and serving."""
T = TypeVar("T")


def store() -> FakeStore:
    made = FakeStore()
    for model in (MODEL, OLD):
        model.resolve_into(made)
        model.mirror_into(made)
    return made


def volume(directory: Path, source: FakeStore) -> Path:
    """One that has seen something: a model that serves, and what two killed attempts left."""
    directory.mkdir()
    run(source, directory, OLD)
    dead = directory / ".staging" / "org--stub" / f"{MODEL.commit}.dead"
    dead.mkdir(parents=True)
    (dead / "config.json").write_bytes(MODEL.content["config.json"])
    (dead / ".partial-0-x").write_bytes(b"half")
    (dead.parent / f"{'1' * 40}.other").mkdir()
    (dead.parent / f"{'1' * 40}.other" / "model.safetensors").write_bytes(b"of another commit")
    return directory


def run(source: FakeStore, directory: Path, model: Released = MODEL) -> PopulateOutputs:
    inputs = PopulateInputs(deployment=model.deployment, release_id=model.release_id)
    return populate.populate(inputs, source, Directory(directory), model.layout)


def step(source: FakeStore, directory: Path, message: Path) -> int:
    """As the step's process does it, on one thread, so that each call has the same number every time."""

    def body(inputs: PopulateInputs, _settings: Settings) -> PopulateOutputs:
        return populate.populate(inputs, source, Directory(directory), Layout())

    argv = [f"--deployment={MODEL.deployment}", f"--release-id={MODEL.release_id}"]
    environ = {PREFIX + "TERMINATION_LOG": str(message), PREFIX + "OUTPUT_DIR": str(message.parent / "outputs")}
    with one_thread():
        return entry.run_step(POPULATE, body, argv, environ)


class AtOnce(Executor):
    """Does in the caller's thread what it is given, before it returns."""

    def __init__(self, _workers: int) -> None:
        """There are none."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as err:  # noqa: BLE001  # as the library's own does: whoever asks for the result gets it
            done.set_exception(err)
        return done


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A step does all of its work in this one, and waits for nothing."""
    with contextlib.ExitStack() as stack:
        for module, name in (
            (parts, "MAX_WORKERS"),
            (in_one_piece, "WORKERS"),
            (populate, "HASHERS"),
            (checksum, "READERS"),
        ):
            stack.enter_context(mock.patch.object(module, name, 1))
        stack.enter_context(mock.patch.object(entry, "beside", lambda work: work()))  # it is called
        for users in (in_parts, fresh):
            stack.enter_context(mock.patch.object(users, "ThreadPoolExecutor", AtOnce))
        stack.enter_context(mock.patch.object(time, "sleep"))
        yield


def check_old(directory: Path) -> None:
    """What serves is what it was."""
    assert volume_state.content(volume_state.published(directory, OLD)) == OLD.content
