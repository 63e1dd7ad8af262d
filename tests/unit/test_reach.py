"""Ports that the policies have to open, as a cluster tells them: a Service's own is not what they see."""

from collections import defaultdict

import pytest

from steps.clients.kube.api import ENDPOINT_SLICE, SERVICE
from tests.stubs.installed import configuration
from tests.stubs.kube import FakeApi
from workflows.cluster import reach
from workflows.cluster.objects import objects
from workflows.config import load


class Places(defaultdict[str, FakeApi]):
    """The namespaces of a cluster whose API server is at 8443, with a store of its own."""

    def __init__(self):
        super().__init__(FakeApi)
        self.endpoints("default", "kubernetes", https=8443)
        ports = [{"name": "http", "port": 80, "targetPort": "api"}, {"name": "ui", "port": 90, "targetPort": 9001}]
        self["storage"].create(SERVICE, {"metadata": {"name": "minio"}, "spec": {"ports": ports}})
        self.endpoints("storage", "minio", http=9000, ui=9001)

    def endpoints(self, namespace, service, **ports):
        marks = {"name": f"{service}-x", "labels": {"kubernetes.io/service-name": service}}
        told = [{"name": name, "port": number, "protocol": "TCP"} for name, number in ports.items()]
        self[namespace].create(ENDPOINT_SLICE, {"metadata": marks, "ports": told})


@pytest.fixture
def places():
    return Places()


def opened(config):
    (policy,) = (b for b in objects(config) if b["metadata"]["name"] == "vllm-promote-pipeline")
    return {p["port"] for p in policy["spec"]["egress"][1]["ports"]}


def found(tmp_path, places, **keys):
    config, _ = reach.with_ports(configuration(tmp_path, **keys), places.__getitem__)
    return opened(config)


def test_the_api_server_is_reached_where_it_is(tmp_path, places):
    assert found(tmp_path, places) == {443, 6443, 8443}


@pytest.mark.parametrize("host", ["minio.storage", "minio.storage.svc", "minio.storage.svc.cluster.local"])
def test_a_store_in_the_cluster_is_reached_on_its_pods_own_port_and_on_no_other_of_theirs(tmp_path, places, host):
    assert found(tmp_path, places, aws_endpoint_url=f"http://{host}") == {80, 443, 6443, 8443, 9000}


def test_a_port_that_a_service_says_in_numbers_needs_no_pod_that_is_there(tmp_path, places):
    places["storage"].delete(ENDPOINT_SLICE, "minio-x")
    assert found(tmp_path, places, aws_endpoint_url="http://minio.storage:90") == {90, 443, 6443, 8443, 9001}


def test_a_name_alone_is_one_of_our_own_namespace(tmp_path, places):
    places["models"].create(
        SERVICE, {"metadata": {"name": "s3"}, "spec": {"ports": [{"port": 80, "targetPort": 8333}]}}
    )
    assert 8333 in found(tmp_path, places, aws_endpoint_url="http://s3")


def test_what_is_no_service_is_reached_as_its_url_says(tmp_path, places):
    assert found(tmp_path, places, aws_endpoint_url="http://s3.example:9000") == {443, 6443, 8443, 9000}
    assert found(tmp_path, places, aws_endpoint_url="https://eu.s3.example.com") == {443, 6443, 8443}


def test_who_may_not_look_gets_what_is_set(tmp_path, places):
    for api in places.values():
        api.forbidden |= {("list", ENDPOINT_SLICE.plural), ("get", SERVICE.plural)}
    keys = {"aws_endpoint_url": "http://minio.storage", "egress_ports": (9000, 16443)}
    assert found(tmp_path, places, **keys) == {80, 443, 6443, 9000, 16443}


def test_files_for_gitops_open_what_is_set(tmp_path):
    assert opened(configuration(tmp_path, egress_ports=(8443,))) == {443, 6443, 8443}


def test_ports_are_set_in_the_file_and_in_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text("egress_ports = [8443, 9000]\n")
    monkeypatch.setenv("VLLM_PROMOTE_CONFIG", str(file))
    assert load(local=False).egress_ports == (8443, 9000)
    monkeypatch.setenv("VLLM_PROMOTE_EGRESS_PORTS", "16443, 9000")
    assert load(local=False).egress_ports == (16443, 9000)
