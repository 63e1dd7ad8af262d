"""Row 46: a server that is away, unplugged or set up anew. What was finished is not fetched again."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.nfs.server import until
from tests.nfs.suite.site import LARGE, SMALL
from tests.stubs.process import StepProcess

AWAY_SECONDS = 15
SOON_SECONDS = 10
"""A fraction of one on a quiet machine. Who hears nothing waits as long as the server is away."""
STOPPED = "Stopped: populate was ended by SIGTERM; run it again to go on"
SOFT = "soft,timeo=10,retrans=1"
"""Gives up after three seconds; what storage should be mounted with is `hard`, which never does."""


def finished_bytes(model) -> str:
    """Of all files but the one that is held back."""
    return str(sum(len(body) for path, body in model.content.items() if path != LARGE))


def test_a_server_that_is_away_for_a_while_is_waited_for(site, model, a):
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model)
    site.server.stop()
    gate.open()
    time.sleep(AWAY_SECONDS)
    assert step.popen.poll() is None
    site.server.start()
    done = step.end()
    assert done.code == 0, done.stderr
    assert site.is_whole(model)


def test_a_step_that_waits_for_an_answer_of_the_server_ends_when_it_is_told_to(site, model, a):
    """Argo's Stop. SIGTERM interrupts no such wait; it is heard beside it."""
    with site.server.clients[0].unplugged():
        step = site.populate(a, model)
        until(lambda: "rpc_wait_bit_killable" in waits(step))
        begun = time.monotonic()
        site.signal(step, signal.SIGTERM)
        done = step.end()
    assert (done.code, done.sentence) == (128 + signal.SIGTERM, STOPPED), done.stderr
    assert time.monotonic() - begun < SOON_SECONDS


def test_a_step_that_waits_for_its_bytes_to_be_written_ends_when_it_is_told_to(site, model, a):
    """Past the cache."""
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model)
    message = step.directory / "message"
    with site.server.clients[0].unplugged():
        gate.open()
        until(lambda: "nfs_direct_wait" in waits(step))
        site.signal(step, signal.SIGTERM)
        until(message.exists, SOON_SECONDS)
        done = step.end()
    assert (done.code, done.sentence) == (128 + signal.SIGTERM, STOPPED), done.stderr
    assert not site.published(model).exists()
    assert site.populate(a, model).end().code == 0
    assert site.is_whole(model)


def test_a_step_that_waits_for_a_sync_says_that_it_ends_and_does_with_the_server_back(site, model, a):
    """The kernel lets nobody out of this wait, not even by SIGKILL."""
    gate = site.gate(SMALL)
    step = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model, SMALL)
    message = step.directory / "message"
    with site.server.clients[0].unplugged():
        gate.open()
        until(lambda: "folio_wait_writeback" in waits(step))
        site.signal(step, signal.SIGTERM)
        until(message.exists, SOON_SECONDS)
        assert step.popen.poll() is None
    done = step.end()
    assert (done.code, done.sentence) == (128 + signal.SIGTERM, STOPPED), done.stderr
    assert not site.published(model).exists()
    assert site.populate(a, model).end().code == 0
    assert site.is_whole(model)


def waits(step: StepProcess) -> str:
    """What its threads wait in, as the kernel has it."""
    return "".join(stack(path) for pid in step.children() for path in Path(f"/proc/{pid}/task").glob("*/stack"))


def stack(path: Path) -> str:
    """Empty of a thread that has ended meanwhile."""
    with suppress(OSError):
        return path.read_text()
    return ""


def is_back(mount: Path) -> bool:
    """A connection that was cut is made anew some seconds later, and until then a soft mount gives up."""
    with suppress(OSError):
        os.statvfs(mount)
        return True
    return False


def test_where_the_mount_gives_up_the_step_is_tried_again_and_goes_on(site, model, volume, server):
    mount = volume.mount(server.clients[0], SOFT)
    gate = site.gate()
    step = site.populate(mount, model, gate=gate)
    site.wait_for_all_but(gate, model)
    with server.clients[0].unplugged():
        gate.open()
        failed = step.end(100)  # several of its calls give up, one after the other
    assert failed.code == 75, failed.stderr
    assert "the volume's server may be away for a while" in failed.sentence
    assert not site.published(model).exists()
    until(lambda: is_back(mount))
    done = site.populate(mount, model).end()
    assert (done.code, done.outputs["reused_bytes"]) == (0, finished_bytes(model)), done.stderr
    assert site.is_whole(model)
    assert site.staging() == []


def test_handles_that_are_stale_are_tried_again_and_the_next_run_goes_on(site, model, a, server):
    """As while the server shows another disk under the same name."""
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    site.wait_for_all_but(gate, model)
    with server.other_disk():
        gate.open()
        failed = step.end()
    assert failed.code == 75, failed.stderr
    assert "Stale file handle; the volume's server may be away for a while" in failed.sentence
    assert not site.published(model).exists()
    done = site.populate(a, model).end()
    assert (done.code, done.outputs["reused_bytes"]) == (0, finished_bytes(model)), done.stderr
    assert site.is_whole(model)


def test_a_server_that_is_away_from_the_start_is_a_transient_failure(site, model, volume, server):
    mount = volume.mount(server.clients[0], SOFT)
    with server.clients[0].unplugged():
        failed = site.populate(mount, model).end()
    assert failed.code == 75, failed.stderr
    until(lambda: is_back(mount))
    assert site.populate(mount, model).end().code == 0
