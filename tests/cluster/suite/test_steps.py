"""Every step's container, as Argo would run it, in a real pod from the real image with its real service account."""

from dataclasses import fields

import pytest

from steps.clients.kube.api import DEPLOYMENT, WORKFLOW_TEMPLATE
from steps.contracts import ALL, ROLLBACK
from steps.core.installed import PROMOTE_TEMPLATE
from tests.cluster.conductor.pod import Owner, pod
from tests.cluster.suite import probe
from tests.cluster.suite.estate import ANSWER, Estate, told

pytestmark = pytest.mark.timeout(600)

MAIN = ("resolve", "preflight", "mirror", "populate", "checksum", "deploy", "smoke", "promote")
S3 = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
SECRETS = {
    "resolve": [*S3, "HF_TOKEN"],
    "preflight": [*S3, "VLLM_API_KEY"],
    "mirror": [*S3, "HF_TOKEN"],
    "populate": S3,
    "checksum": [],
    "deploy": [*S3, "VLLM_API_KEY"],
    "smoke": [*S3, "VLLM_API_KEY"],
    "promote": [*S3, "VLLM_API_KEY"],
    "rollback": [*S3, "VLLM_API_KEY"],  # it files what the candidate said
    "report": S3,
}
"""What each step may know, and nothing else."""
CALLED = [step for step in ALL if step.name in SECRETS]


@pytest.fixture(scope="module")
def promoted(estate: Estate):
    estate.publish(seed=1)
    run = estate.promote()
    assert run.phase == "Succeeded", told(run)
    return run


@pytest.fixture(scope="module")
def seen(estate: Estate, promoted):
    """What a process in each step's pod sees."""
    manifest = estate.api.get(WORKFLOW_TEMPLATE, PROMOTE_TEMPLATE)
    assert manifest
    owner = Owner(promoted.name, promoted.uid)
    pods = {s.name: pod(manifest, s.name, {f.name: "x" for f in fields(s.inputs)}, owner, s.name) for s in CALLED}
    return probe.look_around(estate.api, {name: made["spec"] for name, made in pods.items()})


@pytest.fixture(scope="module")
def server(estate: Estate, promoted):
    """What a process in a model server's pod sees. Its GPU is left out, which the model server itself has."""
    (deployment,) = estate.api.list(DEPLOYMENT)
    spec = deployment["spec"]["template"]["spec"]
    container = {k: v for k, v in spec["containers"][0].items() if k != "resources"}
    return probe.look_around(estate.api, {"server": {**spec, "containers": [container]}})["server"]


@pytest.mark.parametrize("step", [s for s in CALLED if s is not ROLLBACK], ids=lambda s: s.name)
def test_each_output_is_what_the_step_wrote_into_its_pod(promoted, step):
    node = promoted.node(step.name)

    assert node.phase == "Succeeded"
    assert [(a.exit_code, a.message) for a in node.attempts] == [(0, "")]
    assert set(node.outputs) == {f.name for f in fields(step.outputs)}


def test_a_tiny_model_went_through_whole(estate, promoted):
    commit = promoted.output("resolve", "commit")

    assert promoted.output("preflight", "state") == "new"
    assert promoted.output("mirror", "copied_bytes") == promoted.output("resolve", "total_bytes")
    assert promoted.output("mirror", "volume_bytes") == promoted.output("resolve", "total_bytes")
    assert promoted.output("populate", "copied_bytes") == "0"
    assert promoted.output("report", "outcome") == "promoted"
    assert {path.stat().st_uid for path in (estate.volume / "acme--tiny" / commit).iterdir()} == {1000}
    assert {path.stat().st_gid for path in (estate.volume / "acme--tiny" / commit).iterdir()} == {1000}
    assert estate.root() == estate.directory(commit)


@pytest.mark.parametrize("step", CALLED, ids=lambda s: s.name)
class TestAStepsProcess:
    def test_is_nobody_in_particular_and_root_of_nothing(self, seen, step):
        assert (seen[step.name].uid, seen[step.name].gid) == (1000, 1000)
        assert 0 not in seen[step.name].groups

    def test_writes_into_its_own_scratch_and_into_the_volume_only_where_it_brings_bytes_there(self, seen, step):
        expected = ["/tmp", "/models"] if step.name in ("mirror", "populate") else ["/tmp"]

        assert [place for place in seen[step.name].writable if place != "/dev/shm"] == expected

    def test_knows_the_secrets_that_it_needs(self, seen, step):
        assert seen[step.name].secrets == sorted(SECRETS[step.name])


class TestAModelServersProcess:
    def test_is_nobody_in_particular_and_no_account_of_the_clusters(self, server):
        assert (server.uid, server.gid, server.token) == (1000, 1000, False)

    def test_writes_into_its_own_scratch_alone(self, server):
        assert server.writable == ["/tmp", "/dev/shm"]

    def test_knows_the_key_that_its_clients_show_and_no_other_secret(self, server):
        assert server.secrets == ["VLLM_API_KEY"]

    def test_serves_in_a_network_of_the_tests_that_leads_nowhere(self, estate, server):
        """So nothing was fetched for it at its start."""
        assert (server.reached, server.names) == ([], [])
        assert estate.says() == ANSWER


def test_every_step_did_its_work_in_a_network_of_the_tests_that_leads_nowhere(promoted, seen):
    """What the NetworkPolicies would let through is tests/unit/test_cut_off.py's: this network heeds none."""
    assert {name: (each.reached, each.names) for name, each in seen.items()} == {s.name: ([], []) for s in CALLED}
    assert promoted.output("report", "outcome") == "promoted"


def test_a_parameter_that_names_a_secrets_variable_stays_as_it_was_typed(estate):
    """The kubelet would fill in $(HF_TOKEN) from the container's environment."""
    run = estate.ended(estate.submit("$(HF_TOKEN)"))

    (attempt,) = run.node("resolve").attempts
    assert attempt.exit_code == 10
    assert "$(HF_TOKEN)" in attempt.message
