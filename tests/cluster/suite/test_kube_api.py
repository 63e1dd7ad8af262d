"""What every Api does alike, done by a real API server; and what only a real one does."""

import secrets

import pytest
from kubernetes import client as kubernetes

from steps.clients.kube.api import CONFIG_MAP, NAMESPACE, SECRET, SERVICE_ACCOUNT, Kind
from steps.clients.kube.errors import Forbidden, UnknownKind
from steps.errors import BadInput, Conflict, Transient
from tests.cluster.suite.node import until
from tests.cluster.suite.serving_bench import acting_as
from tests.contract.test_kube_api import *  # noqa: F403  # the same tests, over another API
from tests.contract.test_kube_api import NAME, a_map


@pytest.fixture  # type: ignore[no-redef]  # another one is the point
def api(node):
    name = f"lab-api-{secrets.token_hex(3)}"
    api = node.api(name)
    api.create(NAMESPACE, {**NAMESPACE.header, "metadata": {"name": name}})
    until(lambda: api.get(SERVICE_ACCOUNT, "default"))
    yield api
    api.delete(NAMESPACE, name)


@pytest.fixture  # type: ignore[no-redef]  # as somebody else does it to a real one
def edit(api):
    apps, core = kubernetes.AppsV1Api(api.client), kubernetes.CoreV1Api(api.client)

    def made(kind, name, change, manager, subresource=""):
        patch = {
            ("deployments", ""): apps.patch_namespaced_deployment,
            ("deployments", "scale"): apps.patch_namespaced_deployment_scale,
            ("configmaps", ""): core.patch_namespaced_config_map,
        }[kind.plural, subresource]
        patch(name, api.namespace, change, field_manager=manager)
        return api.get(kind, name)

    return made


def test_a_field_that_there_is_not_is_refused_by_name(api):
    with pytest.raises(BadInput, match="dataa"):
        api.create(CONFIG_MAP, {**a_map(), "dataa": {}})
    with pytest.raises(Transient, match="dataa"):  # not our choice
        api.apply(CONFIG_MAP, {**a_map(), "dataa": {}})


def test_what_somebody_else_has_written_is_a_conflict_that_names_them(api):
    api.apply(CONFIG_MAP, a_map(a="1"))
    core = kubernetes.CoreV1Api(api.client)
    core.patch_namespaced_config_map(NAME, api.namespace, {"data": {"a": "2"}}, field_manager="kubectl-edit")
    with pytest.raises(Conflict, match=r"kubectl-edit.*\.data\.a"):
        api.apply(CONFIG_MAP, a_map(a="1"))
    assert api.apply(CONFIG_MAP, a_map(a="1"), force=True)["data"] == {"a": "1"}


def test_a_kind_that_there_is_not_is_told_apart_from_one_without_objects(api):
    with pytest.raises(UnknownKind, match="list things in namespace"):
        api.list(Kind("vllm-promote.test", "v1", "things", "Thing"))
    assert api.list(CONFIG_MAP, labels="no=such") == []


def test_what_an_account_may_not_do_names_verb_resource_and_namespace(api):
    with pytest.raises(Forbidden, match=f"no right to list secrets in namespace {api.namespace}"):
        acting_as(api, "default").list(SECRET)
