"""A step whose pod does not start, as a real controller tells of it."""

import re
from dataclasses import replace

import pytest

from steps.core import argo
from steps.core.argo_words import of_waiting
from steps.core.run import Node
from steps.core.standstill import LASTING_SECONDS, SILENT_SECONDS, lasting, standstills
from tests.stubs.recorded import workflow as recorded
from tests.stubs.runs import START, attempt, done, on_exit, run
from tests.stubs.scene import FakeClock
from workflows.argo.advice import Adviser, remedy
from workflows.config import Config

NAME = "promote-1"
QUOTA = 'pods "promote-1-resolve-1" is forbidden: exceeded quota: small, requested: cpu=500m, limited: cpu=0'


def pending(step, said="", number=0):
    waiting = replace(attempt(number, None, said), phase="Pending")
    return run(Node(name=step, phase="Running", attempts=(waiting,)))


def told(state, *states, after=0.0):
    """What a follower is told by an adviser of these states."""
    notes: list[str] = []
    adviser = Adviser(NAME, "models", FakeClock(START + after), notes.append)
    for each in (state, *states):
        adviser.look(each)
    return notes


def test_an_image_that_cannot_be_had_is_told_with_its_setting_and_the_ways_out():
    [said] = told(argo.run(recorded("bad-pull")))
    assert said.startswith("preflight cannot start, as an image cannot be had: push it")
    assert "where cluster_image names a wrong one, mend it, run `" in said
    assert "workflows.install`, end the run with `" in said
    assert f"workflows.stop --run {NAME} --now`" in said


def test_a_step_that_no_node_takes_is_told_with_what_to_free():
    [said] = told(argo.run(recorded("unschedulable")))
    assert said.startswith("preflight cannot start, as no node takes it: free or add what the line above names")


def test_a_quota_that_is_used_up_is_passed_on_and_told():
    assert of_waiting(QUOTA) == QUOTA
    assert "raise that quota, and it starts by itself" in told(pending("resolve", QUOTA))[0]


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_every_trouble_with_an_image_of_the_transfer_steps_names_their_setting(reason):
    [said] = told(pending("resolve", f"{reason}: no such image"))
    assert "transfer_image" in said
    assert f"workflows.stop --run {NAME}`" in said  # its exit handler has another image, and says what is true


@pytest.mark.parametrize("step", ["resolve", "preflight"])
def test_what_a_remedy_says_to_set_is_a_setting(step):
    [said] = told(pending(step, "ErrImagePull: no such image"))
    named = set(re.findall(r"[a-z]+_[a-z_]+", said))
    assert len(named) == 2
    assert named <= Config.model_fields.keys()


def test_a_remedy_is_told_once_for_each_kind_of_trouble_and_each_step():
    pull, back = (pending("resolve", f"{reason}: x") for reason in ("ErrImagePull", "ImagePullBackOff"))
    full = pending("resolve", "Unschedulable: 0/1 nodes are available", number=1)
    assert [said.split(":")[0] for said in told(pull, back, pull, full, back)] == [
        "resolve cannot start, as an image cannot be had",
        "resolve cannot start, as no node takes it",
    ]


def test_what_has_no_step_left_but_those_of_the_exit_handler_is_ended_without_them():
    waiting = run(on_exit(pending("report", "CreateContainerConfigError: secret is gone").nodes[0]))
    [said] = told(waiting)
    assert "make what the line above names" in said
    assert said.endswith("--now`")


def test_a_pod_that_says_nothing_is_told_where_its_events_are_once_that_is_out_of_the_ordinary():
    assert told(pending("mirror"), after=SILENT_SECONDS - 1) == []
    [said] = told(pending("mirror"), after=SILENT_SECONDS)
    of = f"workflows.argoproj.io/workflow={NAME},app.kubernetes.io/component=mirror"
    assert f"`kubectl --namespace models describe pods --selector {of}`" in said


def test_a_step_that_runs_or_is_over_stands_for_nothing():
    at_work = run(done("resolve"), Node(name="mirror", phase="Running", attempts=(attempt(0, None),)))
    assert list(standstills(at_work, START + LASTING_SECONDS * 100)) == []


def test_what_lasts_an_hour_does_not_pass_by_itself():
    waiting = pending("resolve", "ErrImagePull: no such image")
    assert lasting(waiting, START + LASTING_SECONDS - 1) is None
    found = lasting(waiting, START + LASTING_SECONDS)
    assert found
    assert found.sentence == "its step resolve has not started for 1 h 0 min: ErrImagePull: no such image"
    assert remedy(found, NAME, "models")
