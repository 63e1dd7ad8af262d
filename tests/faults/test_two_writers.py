"""Rows 36, 49 and 50: two processes at one model, where no file lock holds, and where one of them sleeps meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from steps.contracts import CHECKSUM, MIRROR, POPULATE
from steps.settings import PREFIX
from tests.faults import volume_state
from tests.stubs.released import weights
from tests.stubs.shipment import Shipment, wait_until

pytestmark = pytest.mark.exhaustive

BROKEN_LOCKS = """
import fcntl, os, pathlib
pathlib.Path(os.environ["LOCKS_ARE_BROKEN"], str(os.getpid())).touch()
fcntl.flock = fcntl.lockf = lambda *_args, **_options: None
"""
"""As on NFSv3 without lockd: everybody gets every lock."""
MANY = {f"extra/{n:03}.json": b"{}" for n in range(150)}


@pytest.fixture
def shipment(hub, s3, tmp_path) -> Shipment:
    return Shipment(hub, s3, tmp_path, {**weights(size=100_000), **dict(list(MANY.items())[:30])})


def broken_locks(directory: Path) -> dict[str, str]:
    """An environment in which Python has none; each process that starts so leaves its number in ``directory``."""
    (directory / "site").mkdir()
    (directory / "site" / "sitecustomize.py").write_text(BROKEN_LOCKS)
    (directory / "without-locks").mkdir()
    return {"PYTHONPATH": str(directory / "site"), "LOCKS_ARE_BROKEN": str(directory / "without-locks")}


@pytest.mark.parametrize("one_pass", ["true", "false"])
def test_two_writers_without_locks_make_one_right_mirror_and_one_right_directory(
    shipment: Shipment, tmp_path, one_pass
):
    environ = {**broken_locks(tmp_path), PREFIX + "ONE_PASS": one_pass}
    for step in (MIRROR, POPULATE):
        begun = [shipment.start(step, environ) for _ in range(2)]
        ended = [shipment.end(started) for started in begun]
        assert [e.code for e in ended] == [0, 0], [e.sentence for e in ended]
    assert len(list((tmp_path / "without-locks").iterdir())) == 4
    assert shipment.store.get(shipment.model.manifest_key) == shipment.model.manifest.dump()
    assert [p.name for p in shipment.published.parent.iterdir()] == [shipment.model.commit]
    volume_state.check(shipment.volume)
    assert shipment.debris() == []
    assert shipment.run(CHECKSUM).code == 0


def test_an_attempt_that_wakes_up_after_another_has_published_changes_nothing_and_succeeds(hub, s3, tmp_path):
    shipment = Shipment(hub, s3, tmp_path, {**weights(), **MANY})
    shipment.model.mirror_into(shipment.store)
    asleep = shipment.start(POPULATE, start_new_session=True)
    wait_until(lambda: any(name.endswith(".json") for name in shipment.debris()))
    os.killpg(asleep.popen.pid, signal.SIGSTOP)
    assert not shipment.published.exists()
    assert shipment.run(POPULATE).code == 0
    stamp = volume_state.stamp(shipment.published)

    os.killpg(asleep.popen.pid, signal.SIGCONT)
    ended = shipment.end(asleep)

    assert ended.code == 0, ended.sentence
    assert volume_state.stamp(shipment.published) == stamp
    assert volume_state.content(shipment.published) == shipment.content
    assert shipment.debris() == []
    volume_state.check(shipment.volume)
