"""Small files that several processes copy, as processes of a step: what ends the step ends all of them."""

import os
import signal

import psutil
import pytest

from steps import in_one_piece
from steps.contracts import POPULATE
from tests.faults import volume_state
from tests.stubs.leftovers import lives
from tests.stubs.process import StepProcess
from tests.stubs.released import weights
from tests.stubs.shipment import Shipment, wait_until

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core: no process but the step's own")

CONTENT = {**weights(), **{f"{n:04}.json": os.urandom(n) for n in range(3 * in_one_piece.MANY)}}


@pytest.fixture
def shipment(hub, s3, tmp_path) -> Shipment:
    made = Shipment(hub, s3, tmp_path, CONTENT)
    made.model.mirror_into(made.store)
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_step_that_is_ended_takes_them_with_it_and_the_next_run_goes_on(shipment, number):
    started = shipment.start(POPULATE)
    step, helpers = at_work(shipment, started)
    step.send_signal(number)
    ended = shipment.end(started)
    assert (number == signal.SIGTERM) == ("Stopped: populate was ended by SIGTERM" in ended.sentence)
    wait_until(lambda: not any(map(lives, helpers)), seconds=5)
    assert_the_next_run_goes_on(shipment)


def test_one_that_is_killed_is_told_and_the_next_run_goes_on(shipment):
    """By the kernel, where memory is short."""
    started = shipment.start(POPULATE)
    _, helpers = at_work(shipment, started)
    helpers[0].kill()
    ended = shipment.end(started)
    assert ended.code == 75
    assert "one of the processes that share this work was killed by signal 9; run it again" in ended.sentence
    assert not any(map(lives, helpers))
    assert_the_next_run_goes_on(shipment)


def at_work(shipment: Shipment, started: StepProcess) -> tuple[psutil.Process, list[psutil.Process]]:
    """The step and what it has forked, in the middle of the files."""
    found: list[psutil.Process] = []

    def seen() -> bool:
        found[:] = psutil.Process(started.popen.pid).children(recursive=True)
        return len(found) > 2 and len(shipment.debris()) > 50

    wait_until(seen)
    return found[0], found[1:]


def assert_the_next_run_goes_on(shipment: Shipment) -> None:
    assert not shipment.published.exists()
    volume_state.check(shipment.volume)
    ended = shipment.run(POPULATE)
    assert ended.code == 0, ended.stderr
    assert 0 < int(ended.outputs["reused_bytes"]) < shipment.model.manifest.total_bytes
    assert volume_state.content(shipment.published) == CONTENT
    assert shipment.debris() == []
