"""Row 46: a server that is away, unplugged or set up anew. What was finished is not fetched again."""

import signal
import time

from tests.nfs.suite.site import LARGE

AWAY_SECONDS = 15
SOFT = "soft,timeo=10,retrans=2"
"""Gives up after some seconds; what storage should be mounted with is `hard`, which never does."""


def finished_bytes(model) -> str:
    """Of all files but the one that is held back."""
    return str(sum(len(body) for path, body in model.content.items() if path != LARGE))


def test_a_server_that_is_away_for_a_while_is_waited_for(site, model, a):
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    gate.wait()
    site.server.stop()
    gate.open()
    time.sleep(AWAY_SECONDS)
    assert step.popen.poll() is None
    site.server.start()
    done = step.end()
    assert done.code == 0, done.stderr
    assert site.is_whole(model)


def test_a_step_ends_when_it_is_told_to_although_it_waits_for_the_server(site, model, a):
    """Argo's Stop. What it waits in is not interrupted by SIGTERM."""
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    gate.wait()
    with site.server.clients[0].unplugged():
        gate.open()
        time.sleep(3)
        assert step.popen.poll() is None
        begun = time.monotonic()
        site.signal(step, signal.SIGTERM)
        done = step.end()
        took = time.monotonic() - begun
    assert (done.code, done.sentence.partition(":")[0]) == (128 + signal.SIGTERM, "Stopped"), done.stderr
    assert took < 2


def test_where_the_mount_gives_up_the_step_is_tried_again_and_goes_on(site, model, volume, server):
    mount = volume.mount(server.clients[0], SOFT)
    gate = site.gate()
    step = site.populate(mount, model, gate=gate)
    gate.wait()
    with server.clients[0].unplugged():
        gate.open()
        failed = step.end()
    assert failed.code == 75, failed.stderr
    assert "the volume's server may be away for a while" in failed.sentence
    assert not site.published(model).exists()
    done = site.populate(mount, model).end()
    assert (done.code, done.outputs["reused_bytes"]) == (0, finished_bytes(model)), done.stderr
    assert site.is_whole(model)
    assert site.staging() == []


def test_handles_that_are_stale_are_tried_again_and_the_next_run_goes_on(site, model, a, server):
    """As after an export that was taken away and came back."""
    gate = site.gate()
    step = site.populate(a, model, gate=gate)
    gate.wait()
    server.unexport()
    gate.open()
    failed = step.end()
    server.export()
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
    assert site.populate(mount, model).end().code == 0
