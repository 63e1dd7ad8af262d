"""Whether the claim for what model servers compile lets all of them start."""

import pytest

from steps.core.cache_claim import problem, unfit
from steps.core.claim import Seen


def seen(*modes, phase="Bound", events=(), volume=None, **metadata):
    metadata = {"name": "compiled", **metadata}
    claim = {"metadata": metadata, "spec": {"accessModes": [*modes]}, "status": {"phase": phase}}
    return Seen(claim=claim, events=events, volume=volume)


def event(reason, message):
    return {"reason": reason, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("modes", "at_once", "together"),
    [
        (["ReadWriteMany"], 3, False),
        (["ReadWriteOnce", "ReadWriteMany"], 3, False),
        (["ReadWriteOnce"], 1, True),
        (["ReadWriteOnce"], 2, True),
        (["ReadWriteOncePod"], 1, True),
    ],
)
def test_a_claim_that_all_who_run_at_once_may_mount_is_good(modes, at_once, together):
    assert unfit(seen(*modes), at_once, together=together) == ""


def test_a_claim_that_some_could_not_mount_is_told_with_the_number_and_the_ways_out():
    told = unfit(seen("ReadWriteOncePod"), 2, together=True)
    assert told.startswith("is ReadWriteOncePod, and 2 model servers run at once")
    assert "a claim that is ReadWriteMany" in told
    assert "pod.cacheClaim" in told
    told = unfit(seen("ReadWriteOnce"), 2, together=False)
    assert told.startswith("is ReadWriteOnce, which is on one node at a time, and no node has room for 2 model servers")
    assert "cannot be written to (ReadOnlyMany)" in unfit(seen("ReadOnlyMany"), 1, together=True)
    assert "cannot be written to (no access mode)" in unfit(seen(), 1, together=True)


@pytest.mark.parametrize("reason", ["WaitForFirstConsumer", "WaitForPodScheduled"])
def test_a_claim_whose_class_waits_for_the_first_pod_is_bound_with_it(reason):
    assert problem(seen("ReadWriteOnce", phase="Pending", events=[event(reason, "waiting for a pod")])) == ""


def test_a_claim_that_is_bound_is_no_problem():
    assert problem(seen("ReadWriteMany")) == ""


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (seen("ReadWriteMany", phase="Pending", events=[event("x", "no\nclass")]), "is Pending: no class"),
        (seen("ReadWriteMany", phase="Pending"), "is Pending: nothing says why"),
        (seen("ReadWriteMany", phase="Lost"), "has lost its volume"),
        (seen("ReadWriteMany", deletionTimestamp="2026-01-01T00:00:00Z"), "is being deleted"),
    ],
)
def test_a_claim_that_no_new_pod_could_mount_is_told(claim, words):
    assert words in problem(claim)
    assert "pod.cacheClaim" in problem(claim)
