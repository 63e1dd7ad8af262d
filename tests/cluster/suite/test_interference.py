"""What the cluster does to a promotion: its API server restarts, its node restarts, somebody deletes the claim."""

import os
import re
import time

import pytest
from kubernetes import client as kubernetes

from steps.clients.kube.api import CLAIM, POD
from steps.core import labels
from steps.core.run import Run
from tests.cluster.kubernetes import programs
from tests.cluster.kubernetes.cluster import Cluster
from tests.cluster.suite.estate import ANSWER, Estate, told
from tests.cluster.suite.node import until
from tests.stubs.clients import PATIENT_SECONDS

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]

LOADING_SECONDS = 15
"""How long the candidate's model takes: something is to happen meanwhile."""
SOON_SECONDS = 20
"""For a step to end when it is told to, and for its pod to be gone. One that does not listen is killed after 30."""


@pytest.fixture(scope="module")
def served(estate: Estate):
    """On the node's one GPU. Its tests leave a good model serving."""
    estate.device = "cuda"
    estate.catalog()
    estate.publish(seed=1)
    run = estate.promote()
    assert run.phase == "Succeeded", told(run)
    return estate


@pytest.fixture
def machine(served: Estate) -> Cluster:
    return Cluster(served.around.node.layout, programs.built(os.environ))


def attempts(run: Run) -> int:
    return sum(len(node.attempts) for node in run.nodes)


def loading(served: Estate) -> bool:
    """The candidate's server runs, and is not ready."""
    candidate = served.record().candidate
    pods = [p for p in served.pods() if p["metadata"]["labels"][labels.RELEASE] == candidate]
    return any("running" in s["state"] for p in pods for s in p["status"].get("containerStatuses", ()))


def apps(served: Estate) -> kubernetes.AppsV1Api:
    return kubernetes.AppsV1Api(served.api.client)


def under_way(served: Estate, seed: int) -> tuple[str, str]:
    """A promotion whose candidate loads: the commit and the run's name."""
    commit = served.publish(seed=seed, fault=f"slow-start:{LOADING_SECONDS}")
    name = served.submit()
    served.reached(name, "deploy", lambda: served.record().phase == "swapping" and loading(served))
    return commit, name


def test_a_run_that_is_stopped_in_the_middle_ends_its_step_at_once_and_goes_back(served):
    root = served.root()
    _, name = under_way(served, seed=5)

    asked = time.time()
    served.stop(name)

    run = served.ended(name)
    stopped, rollback = run.node("deploy"), run.node("rollback")
    assert (stopped.phase, rollback.outputs["outcome"]) == ("Failed", "rolled-back"), told(run)
    assert stopped.attempts[-1].finished - asked < SOON_SECONDS
    assert served.root() == root
    assert (served.record().phase, served.record().refused) == ("idle", ())


class TestSomebody:
    """Who does with kubectl what only a run should do: it is named, and what it did is not written over."""

    def test_who_scales_a_candidate_to_nothing_ends_its_run_and_clients_get_back_what_they_had(self, served, tell):
        root = served.root()
        _, name = under_way(served, seed=6)
        apps(served).patch_namespaced_deployment_scale(
            f"{served.deployment}-{served.record().candidate}",
            served.namespace,
            {"spec": {"replicas": 0}},
            field_manager="kubectl",
        )

        run = served.ended(name)

        node, attempt = run.failure()
        assert (node.name, attempt.exit_code) == ("deploy", 14), told(run)
        assert "were changed from 1 to 0 by somebody, as `kubectl scale` does" in attempt.message
        assert run.output("rollback", "outcome") == "rolled-back", told(run)
        assert (served.root(), served.record().phase, served.record().refused) == (root, "idle", ())
        tell(f"scaled by hand: {attempt.message}")

    def test_who_moves_the_selector_keeps_every_run_from_beginning(self, served):
        before, led = served.record(), served.service()["spec"]["selector"]
        served.publish(seed=7)
        moved = {"spec": {"selector": {**led, labels.RELEASE: "a" * 12}}}
        core = kubernetes.CoreV1Api(served.api.client)
        core.patch_namespaced_service(served.deployment, served.namespace, moved, field_manager="kubectl-patch")

        run = served.promote()

        node, attempt = run.failure()
        assert (node.name, attempt.exit_code) == ("preflight", 14), told(run)
        assert re.search(rf"from {before.live} to {'a' * 12} by kubectl-patch at 20\S+Z", attempt.message)
        assert served.service()["spec"]["selector"][labels.RELEASE] == "a" * 12
        core.patch_namespaced_service(
            served.deployment, served.namespace, {"spec": {"selector": led}}, field_manager="kubectl-patch"
        )
        assert served.record() == before

    def test_who_scales_what_serves_is_told_in_the_run_that_replaces_it(self, served):
        commit = served.publish(seed=8)
        live = f"{served.deployment}-{served.record().live}"
        apps(served).patch_namespaced_deployment_scale(
            live, served.namespace, {"spec": {"replicas": 2}}, field_manager="kubectl"
        )

        run = served.promote()

        assert run.phase == "Succeeded", told(run)
        assert served.root() == served.directory(commit)
        noticed = run.output("preflight", "noticed")
        assert f"replicas of Deployment {live} were changed from 1 to 2 by kubectl through scale" in noticed
        assert "note: replicas of" in run.output("report", "summary")


def test_an_api_server_that_restarts_in_the_middle_costs_time_and_nothing_else(served, machine, tell):
    commit, name = under_way(served, seed=10)

    machine.restart("kube-apiserver")

    run = served.ended(name)
    assert run.phase == "Succeeded", told(run)
    assert served.root() == served.directory(commit)
    assert (served.record().phase, served.record().refused) == ("idle", ())
    tell(f"API server restarted while a candidate loaded: promoted, {attempts(run)} attempts of {len(run.nodes)} steps")


def test_a_node_that_restarts_in_the_middle_leaves_a_good_model_serving(served, machine, tell):
    """Step and candidate are killed at once: the step is tried again, the candidate is started again by Kubernetes."""
    commit, name = under_way(served, seed=20)

    machine.restart_node()

    run = served.ended(name, seconds=400)
    assert run.phase == "Succeeded", told(run)
    assert served.root() == served.directory(commit)
    assert attempts(run) > len([n for n in run.nodes if n.attempts])
    assert (served.record().phase, served.record().refused) == ("idle", ())
    tell(f"node restarted while a candidate loaded: promoted, {attempts(run)} attempts of {len(run.nodes)} steps")


def test_a_node_that_restarts_brings_back_what_served(served, machine, tell):
    root, record = served.root(), served.record()

    with served.clients() as clients:
        began = time.monotonic()
        machine.restart_node()
        until(lambda: clients.answers and clients.answers[-1].root and time.monotonic() - began > 5, seconds=120)

    assert clients.roots == [root]
    assert served.record() == record
    tell(f"node restarted while a model served: clients had no answer for {clients.outage_seconds:.1f} s")


@pytest.fixture(scope="module")
def deleted(served):
    """For the last tests: it cannot be brought back."""
    served.api.delete(CLAIM, "models")
    return served


class TestTheClaim:
    def test_outlasts_its_deletion_as_long_as_a_model_serves_from_it(self, deleted):
        with deleted.clients(PATIENT_SECONDS) as clients:
            time.sleep(3)

        claim = deleted.api.get(CLAIM, "models")
        assert claim["metadata"]["deletionTimestamp"]
        assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        assert clients.failures == []

    def test_lets_no_promotion_begin_that_could_touch_what_serves(self, deleted):
        root = deleted.root()
        deleted.publish(seed=40)
        name = deleted.submit()
        until(lambda: "is being deleted" in unscheduled(deleted), seconds=180)

        deleted.stop(name)

        run = deleted.ended(name)
        assert run.node("preflight").phase == "Failed", told(run)
        assert run.output("rollback", "outcome") == "nothing"
        assert (deleted.root(), deleted.says()) == (root, ANSWER)


def unscheduled(served: Estate) -> str:
    """Why no node takes a step's pod."""
    conditions = [c for pod in served.api.list(POD) for c in pod["status"].get("conditions", ())]
    return " ".join(c.get("message", "") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False")
