"""install and uninstall against the real API server, as people type them."""

import os
import secrets
import time
from collections.abc import Iterator

import pytest
from kubernetes import client as kubernetes

from steps.clients.kube.api import (
    CLAIM,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    SECRET,
    VOLUME,
    WORKFLOW_TEMPLATE,
)
from steps.clients.kube.cluster import Cluster
from steps.clients.kube.errors import Forbidden
from steps.errors import BadInput, Missing, StepError
from tests.cluster.suite.node import Node, until
from tests.cluster.suite.serving_bench import acting_as
from tests.stubs.installed import configuration
from workflows import command
from workflows.cluster import claim, plan
from workflows.cluster.checks import before_submitting
from workflows.cluster.objects import objects
from workflows.cluster.parts import DATA, SUBMIT
from workflows.cluster.rights import node_reader_name
from workflows.cluster.volume import share_name
from workflows.config import Config
from workflows.install import install
from workflows.pods import CATALOG, SETTINGS
from workflows.uninstall import uninstall

SHARE = "filer.example:/export/models"
"""Nothing mounts it here: a volume is bound without being there."""
SOON_SECONDS = 30.0
"""A mistake is told within this time: on a quiet machine two, and no wait of minutes."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    home = tmp_path_factory.mktemp("install")
    return configuration(home, namespace=f"lab-install-{secrets.token_hex(3)}", nfs=SHARE)


@pytest.fixture(scope="module")
def api(node: Node, config: Config) -> Iterator[Cluster]:
    """Of a namespace that is not there yet."""
    api = node.api(config.namespace)
    yield api
    node.clear(config.namespace)
    api.delete(VOLUME, share_name(config, config.namespace))
    for kind in (CLUSTER_ROLE_BINDING, CLUSTER_ROLE):
        api.delete(kind, node_reader_name(config.namespace))


@pytest.fixture(autouse=True)
def typed_here(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the person at the keyboard."""
    for name in [name for name in os.environ if name.startswith(("VLLM_PROMOTE_", "AWS_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VLLM_PROMOTE_CATALOG", str(config.catalog_path))
    monkeypatch.setenv("VLLM_PROMOTE_NAMESPACE", config.namespace)
    monkeypatch.setenv("VLLM_PROMOTE_RECONCILE_SCHEDULE", "0 0 1 1 *")  # its image is not there: uninstall would wait


@pytest.fixture
def typed(capsys):
    def run(*argv: str, expected: int = 0) -> str:
        verbs = {"install": install, "uninstall": uninstall}
        began = time.monotonic()
        code = command.run(argv[0], verbs[argv[0]], argv[1:])
        said = "".join(capsys.readouterr())
        assert code == expected, said
        assert expected == 0 or time.monotonic() - began < SOON_SECONDS
        return said

    return run


@pytest.fixture
def installed(api: Cluster, typed) -> Cluster:
    """Whatever the test before has left."""
    typed("install", "--nfs", SHARE, "--yes", "--take-over")
    return api


def edit(api: Cluster, name: str, data: dict[str, str]) -> None:
    """By somebody else."""
    core = kubernetes.CoreV1Api(api.client)
    core.patch_namespaced_config_map(name, api.namespace, {"data": data}, field_manager="kubectl-edit")


def told_soon(match: str, call, error: type[StepError] = Missing) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=match):
        call()
    assert time.monotonic() - began < SOON_SECONDS


def test_into_an_empty_cluster_and_a_second_time(api: Cluster, config: Config, typed):
    assert api.get(NAMESPACE, config.namespace) is None
    said = typed("install", "--nfs", SHARE, "--yes")
    assert f"{len(objects(config))} to create.\n\nDone." in said
    assert "claim models" not in said  # it was bound by the end
    for again in ("--yes", "--dry-run"):
        said = typed("install", "--nfs", SHARE, again)
        assert f"Nothing to change: {len(objects(config))} objects are as they should be." in said


def test_a_dry_run_makes_nothing(node: Node, config: Config, typed):
    said = typed("install", "--namespace", f"{config.namespace}-2", "--dry-run")
    assert "This was a dry run: nothing was changed." in said
    assert node.api("default").get(NAMESPACE, f"{config.namespace}-2") is None


def test_a_changed_catalog_is_the_only_difference_and_running_it_again_finds_none(
    installed: Cluster, config: Config, typed
):
    before = config.catalog_path.read_text()
    config.catalog_path.write_text(before.replace("org/chat", "org/other"))
    said = typed("install", "--nfs", SHARE, "--dry-run")
    assert f"1 to change, {len(objects(config)) - 1} as they are." in said
    assert "-      chat: {model: org/chat}\n" in said
    typed("install", "--nfs", SHARE, "--yes")
    held = installed.get(CONFIG_MAP, CATALOG)
    assert held
    assert "org/other" in held["data"]["catalog.yaml"]
    assert "Nothing to change" in typed("install", "--nfs", SHARE, "--dry-run")
    config.catalog_path.write_text(before)


def test_what_is_not_wanted_any_more_goes(installed: Cluster, typed, monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_NETWORK_POLICIES", "false")
    typed("install", "--nfs", SHARE, "--yes")
    assert installed.list(NETWORK_POLICY) == []


def test_what_somebody_else_edited_is_theirs_until_it_is_taken_over(installed: Cluster, typed):
    edit(installed, CATALOG, {"catalog.yaml": "deployments: {}\n"})
    said = typed("install", "--nfs", SHARE, "--yes", expected=1)
    assert 'conflict with "kubectl-edit"' in said
    assert "add --take-over" in said
    typed("install", "--nfs", SHARE, "--yes", "--take-over")
    assert "Nothing to change" in typed("install", "--nfs", SHARE, "--dry-run")


def test_a_share_cannot_become_another_and_the_way_out_is_told(installed: Cluster, typed):
    said = typed("install", "--nfs", "filer.example:/other", "--yes", expected=1)
    assert "immutable after creation" in said
    assert "give that one a claim of its own" in said


def test_without_rights_verb_resource_and_namespace_are_named(installed: Cluster, config: Config):
    within = config.model_copy(update={"cluster_scoped": False, "nfs": None})
    other = acting_as(installed, DATA)
    told_soon(
        f"no right to get serviceaccounts vllm-promote-data in namespace {config.namespace}",
        lambda: plan.look(other, objects(within)),
        Forbidden,
    )
    told_soon("or set cluster_scoped = false", lambda: plan.look(other, objects(config)), Forbidden)


def test_who_submits_has_the_rights_to_check_and_is_told_what_is_missing(installed: Cluster, config: Config):
    submitter = acting_as(installed, SUBMIT)
    before_submitting(submitter, config)
    edit(installed, SETTINGS, {"AWS_ENDPOINT_URL": "http://minio.example:9000"})
    told_soon("Secret s3-credentials is not there", lambda: before_submitting(installed, config))
    installed.delete(CONFIG_MAP, CATALOG)
    told_soon("no ConfigMap vllm-promote-catalog", lambda: before_submitting(submitter, config))
    installed.delete(WORKFLOW_TEMPLATE, "vllm-promote")
    told_soon("no WorkflowTemplate vllm-promote", lambda: before_submitting(submitter, config))


def test_a_claim_that_waits_is_told_with_the_clusters_own_reason(installed: Cluster):
    asked = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata, spec = {"name": "waiting"}, {**asked, "storageClassName": "nowhere"}
    installed.create(CLAIM, {**CLAIM.header, "metadata": metadata, "spec": spec})

    def explained() -> bool:
        with pytest.raises(Missing) as caught:
            claim.require(installed, "waiting")
        return '"nowhere" not found; see that its volume, or its StorageClass nowhere' in str(caught.value)

    until(explained, 60)  # Kubernetes' own time
    installed.delete(CLAIM, "waiting")


def test_an_argo_that_is_too_old_is_told(installed: Cluster, config: Config):
    pod = {"containers": [{"name": "c", "image": "argoproj.example/workflow-controller:v3.5.8"}]}
    body = {
        "metadata": {"name": "workflow-controller", "labels": {"app": "workflow-controller"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "workflow-controller"}},
            "template": {"metadata": {"labels": {"app": "workflow-controller"}}, "spec": pod},
        },
    }
    installed.create(DEPLOYMENT, {**DEPLOYMENT.header, **body})
    told_soon("of version 3.5, its controller runs", lambda: before_submitting(installed, config))
    installed.delete(DEPLOYMENT, "workflow-controller")


def test_pods_of_the_namespace_are_held_to_the_restricted_standard(installed: Cluster, config: Config):
    found = installed.get(NAMESPACE, config.namespace)
    assert found
    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_uninstall_keeps_the_data_and_says_how_to_remove_it(installed: Cluster, config: Config, typed):
    secret = {"metadata": {"name": "hf-token"}, "stringData": {"HF_TOKEN": "hf_canary"}}
    installed.create(SECRET, {**SECRET.header, **secret})
    said = typed("uninstall", "--yes")
    assert "kubectl -n" in said
    assert "canary" not in said
    assert installed.list(WORKFLOW_TEMPLATE) == []
    assert installed.get(CLUSTER_ROLE, node_reader_name(config.namespace)) is None
    for kind, name in ((CLAIM, "models"), (SECRET, "hf-token"), (NAMESPACE, config.namespace)):
        assert installed.get(kind, name), name
    assert "Nothing is installed." in typed("uninstall", "--yes")


def test_what_the_server_does_not_take_is_told_before_anything_is_changed(installed: Cluster, config: Config):
    wrong = config.model_copy(update={"reconcile_schedule": "whenever"})
    with pytest.raises(BadInput, match=r"cronjobs vllm-promote-reconcile.*whenever"):
        plan.look(installed, objects(wrong))
