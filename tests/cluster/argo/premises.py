"""What the project needs where Argo looks after a namespace: a Hub and a store that its pods reach, and a volume.

Pods must reach this machine: at ``VLLM_PROMOTE_TEST_ADDRESS``, or at the address by which this machine reaches the API
server. The claim ``models`` must be there, ReadWriteMany and writable for uid 1000, but in the tests' own cluster,
where it is made.
"""

import base64
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from steps.clients.kube.api import CLAIM, SECRET, SERVICE, VOLUME, WORKFLOW, Json
from steps.clients.kube.api import DEPLOYMENT as KUBE_DEPLOYMENT
from steps.clients.kube.cluster import Cluster
from steps.core import argo, labels
from steps.core.installed import PROMOTE_TEMPLATE
from steps.core.record import Record, parse
from steps.core.run import Run
from tests.cluster.argo.house import House
from tests.stubs.clients import endpoint
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.machine import Machine
from tests.stubs.proxy import Proxy, proxy
from tests.stubs.s3 import server
from tests.stubs.weights import write_model
from workflows.pods import S3_SECRET

MODEL = "acme/tiny"
MODEL_SERVER = "vllm-promote-test/model-server:1"
CLAIM_NAME = "models"
PASSED_ON = (
    *("KUBECONFIG", "ARGO_SERVER", "ARGO_TOKEN", "ARGO_SECURE"),
    *("VLLM_PROMOTE_TRANSFER_IMAGE", "VLLM_PROMOTE_CLUSTER_IMAGE", "VLLM_PROMOTE_REGISTRY"),
)
CATALOG_FILE = "catalog.yaml"
UID = 1000


@dataclass(frozen=True, kw_only=True)
class Premises:
    """``person`` is whoever sits before the commands."""

    house: House
    person: Machine
    hub: LocalHub
    store: Proxy
    """What is between the pods and the store."""
    deployment: str

    @property
    def url(self) -> str:
        """Of the endpoint, as clients in the cluster reach it."""
        service = self.api.get(SERVICE, self.deployment)
        assert service, f"there is no Service {self.deployment}"
        return endpoint(service)

    @property
    def api(self) -> Cluster:
        assert isinstance(self.house.api, Cluster)
        return self.house.api

    def publish(self, *, seed: int, **stub: Any) -> str:
        """The commit of a model that is new on the branch main; the model server behaves as ``stub`` says."""
        source = self.person.home / uuid.uuid4().hex
        write_model(source, seed=seed, **stub)
        content = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
        shutil.rmtree(source)
        return self.hub.publish(MODEL, content)

    def install(self, *flags: str, **entry: Any) -> None:
        """With a catalog whose entry has these keys beside the usual ones."""
        (self.person.home / CATALOG_FILE).write_text(catalog_text(self.deployment, **entry))
        ended = self.person.run("install", "--yes", *flags)
        assert ended.code == 0, ended.text

    def submit(self, **parameters: str) -> str:
        """A run that somebody's own program asks the cluster for."""
        given = {"model": MODEL, "revision": "main", "deployment": self.deployment, **parameters}
        body = argo.workflow(PROMOTE_TEMPLATE, given, generate_name="by-api-")
        return str(self.house.access.submit(body)["metadata"]["name"])

    def ended(self, name: str) -> Run:
        return argo.run(self.house.end(name))

    def record(self) -> Record:
        service = self.api.get(SERVICE, self.deployment)
        assert service, f"there is no Service {self.deployment}"
        return parse(service["metadata"]["annotations"][labels.RECORD], self.deployment)

    def serves(self) -> str:
        """The commit that clients reach."""
        status = self.person.run("status", "--deployment", self.deployment, "-o", "json")
        assert status.code == 0, status.text
        (entry,) = json.loads(status.text)
        return str(entry["live"]["commit"])

    def runs(self) -> set[str]:
        """Names of all promotions."""
        found = self.api.list(WORKFLOW)
        return {
            w["metadata"]["name"]
            for w in found
            if w["spec"].get("workflowTemplateRef", {}).get("name") == PROMOTE_TEMPLATE
        }


def catalog_text(deployment: str, **entry: Any) -> str:
    """No GPU is needed to see what Argo does."""
    usual = {"model": MODEL, "served_name": "tiny", "image": MODEL_SERVER, "device": "cpu"}
    return json.dumps({"deployments": {deployment: {**usual, **entry}}})  # JSON is YAML


@contextmanager
def premises(house: House, home: Path) -> Iterator[Premises]:
    """Not installed yet. Afterwards store and Hub are gone."""
    assert isinstance(house.api, Cluster)
    with (
        server(home / "seaweedfs") as s3,
        proxy(s3.endpoint, address := _address(house.api)) as store,
        local_hub(home / "hub", address) as hub,
    ):
        _provide_volume(house.api)
        keys = {"AWS_ACCESS_KEY_ID": s3.who.access_key, "AWS_SECRET_ACCESS_KEY": s3.who.secret_key}
        deployment = f"argo-{uuid.uuid4().hex[:6]}"  # so that nothing is left of an earlier session
        environ = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **keys,
            "AWS_ENDPOINT_URL": store.endpoint,
            "AWS_REGION": "us-east-1",
            "HF_ENDPOINT": hub.endpoint,
            "VLLM_PROMOTE_NAMESPACE": house.api.namespace,
            "VLLM_PROMOTE_CATALOG": str(home / CATALOG_FILE),
        }
        house.api.apply(SECRET, _secret(S3_SECRET, keys), force=True)
        try:
            yield Premises(house=house, person=Machine(home, environ), hub=hub, store=store, deployment=deployment)
        finally:
            _end_servers(house.api, deployment)


def _end_servers(api: Cluster, deployment: str) -> None:
    api.delete(SERVICE, deployment)
    for release in api.list(KUBE_DEPLOYMENT, labels=labels.selector(labels.servers(deployment))):
        api.delete(KUBE_DEPLOYMENT, release["metadata"]["name"])


def _provide_volume(api: Cluster) -> None:
    """On the tests' own cluster, a directory of this machine, which any pod may write to. It stays as long as that."""
    if api.get(CLAIM, CLAIM_NAME) is not None:
        return
    if "LOCALCLUSTER_STATE" not in os.environ:
        pytest.fail(
            f"namespace {api.namespace} has no volume claim {CLAIM_NAME}: make one, ReadWriteMany and writable for uid "
            f"{UID}, before these tests"
        )
    directory = Path(os.environ["LOCALCLUSTER_STATE"]) / "volumes" / api.namespace
    directory.mkdir(parents=True, exist_ok=True)
    os.chown(directory, UID, UID)
    name = f"{api.namespace}-{CLAIM_NAME}"
    size = {"storage": "10Gi"}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    bound = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": api.namespace, "name": CLAIM_NAME}
    share = {**common, "capacity": size, "hostPath": {"path": str(directory)}, "claimRef": bound}
    api.apply(VOLUME, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": share})
    asked = {**common, "volumeName": name, "resources": {"requests": size}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM_NAME}, "spec": asked}
    api.apply(CLAIM, claim)


def _address(api: Cluster) -> str:
    if told := os.environ.get("VLLM_PROMOTE_TEST_ADDRESS"):
        return told
    server = urlsplit(api.client.configuration.host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((server.hostname, server.port or 443))
        return str(way.getsockname()[0])


def _secret(name: str, values: Mapping[str, str]) -> Json:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
