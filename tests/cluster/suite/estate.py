"""A namespace in which the project is installed, with a store, a Hub, a volume, and someone who runs Workflows."""

import base64
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.clients import store
from steps.clients.kube import api as kinds
from steps.clients.kube.api import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    CRON_JOB,
    POD,
    SERVICE,
    WORKFLOW,
    Json,
    Kind,
)
from steps.clients.kube.cluster import Cluster
from steps.core import argo, labels
from steps.core.installed import PROMOTE_TEMPLATE, RECONCILE_JOB
from steps.core.names import slug
from steps.core.record import Record, parse
from steps.core.release import Device
from steps.core.run import Run
from steps.settings import Settings
from tests.cluster.conductor.controller import Conductor
from tests.cluster.suite import share
from tests.cluster.suite.node import Node, until
from tests.stubs.clients import IMPATIENT_SECONDS, Chat, Clients, endpoint
from tests.stubs.hub import LocalHub
from tests.stubs.machine import ask, served_root
from tests.stubs.proxy import Proxy
from tests.stubs.s3 import S3
from tests.stubs.weights import write_model
from workflows.cluster.given import CATALOG_KEY
from workflows.cluster.objects import objects
from workflows.cluster.rights import node_reader_name
from workflows.config import Config, load
from workflows.pods import CATALOG

MODEL = "acme/tiny"
DEPLOYMENT = "chat"
SERVED_NAME = "tiny"
MODEL_SERVER = "vllm-promote-test/model-server:1"
ANSWER = "The capital of France is Paris."
KEY = "sk-CANARYcanaryCANARYcanary"
"""Of the model servers; the stub asks for none."""
SECRETS = {"hf-token": {"HF_TOKEN": "hf_CANARYcanaryCANARYcanaryCANARY"}, "vllm-api-key": {"VLLM_API_KEY": KEY}}
UID = 1000
PATIENCE_SECONDS = 300.0
"""A promotion takes a minute, on a machine that does much else three."""
KINDS = {kind.name: kind for kind in vars(kinds).values() if isinstance(kind, Kind)}


@dataclass(frozen=True)
class Surroundings:
    """``network`` is what is between the pods and the store: faults may be put into it."""

    node: Node
    hub: LocalHub
    s3: S3
    network: Proxy


@dataclass
class Estate:
    """``home`` is its directory on this machine. With device ``cuda`` each replica asks for the node's GPU."""

    around: Surroundings
    api: Cluster
    home: Path
    conductor: Conductor
    prefix: str
    model: str = MODEL
    deployment: str = DEPLOYMENT
    device: Device = "cpu"

    @property
    def namespace(self) -> str:
        return self.api.namespace

    @property
    def volume(self) -> Path:
        return self.home / "volume"

    def publish(self, branch: str = "main", *, seed: int, **stub: Any) -> str:
        """A commit with its own weights (``seed``), which the stub model server serves as ``stub`` says."""
        source = self.home / "sources" / uuid.uuid4().hex
        write_model(source, seed=seed, **{"answer": ANSWER, "device": self.device, **stub})
        content = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
        shutil.rmtree(source)
        return self.around.hub.publish(self.model, content, branch)

    def catalog(self, **entry: Any) -> None:
        """As an operator who installs a changed catalog; pods that start from now on see it."""
        usual = {"model": self.model, "served_name": SERVED_NAME, "image": MODEL_SERVER, "device": self.device}
        text = json.dumps({"deployments": {self.deployment: {**usual, **entry}}})  # JSON is YAML
        self.api.patch(CONFIG_MAP, CATALOG, {"data": {CATALOG_KEY: text}})

    def submit(self, revision: str = "main", template: str = PROMOTE_TEMPLATE, **parameters: str) -> str:
        """The name of a new run, which goes on by itself."""
        given = {"model": self.model, "revision": revision, "deployment": self.deployment, **parameters}
        return str(self.api.create(WORKFLOW, argo.workflow(template, given, generate_name="run-"))["metadata"]["name"])

    def run(self, name: str) -> Run:
        return argo.run(self.workflow(name))

    def workflow(self, name: str) -> Json:
        found = self.api.get(WORKFLOW, name)
        assert found, f"there is no Workflow {name}"
        return found

    def ended(self, name: str, seconds: float = PATIENCE_SECONDS) -> Run:
        deadline = time.monotonic() + seconds
        while not argo.is_over(run := self.run(name)):
            assert time.monotonic() < deadline, f"not over after {seconds:g} s:\n{told(run)}"
            time.sleep(0.3)
        return run

    def promote(self, revision: str = "main", seconds: float = PATIENCE_SECONDS) -> Run:
        return self.ended(self.submit(revision), seconds)

    def reached(
        self, name: str, step: str, begun: Callable[[], object] = lambda: True, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Return once the run is at ``step``, and that has ``begun`` what it does."""

        def there() -> bool:
            run = self.run(name)
            assert not argo.is_over(run), f"it ended before {step}:\n{told(run)}"
            node = run.node(step)
            return bool(node and node.phase == "Running" and begun())

        until(there, seconds, every=0.1)

    def stop(self, name: str, strategy: str = "Stop") -> None:
        self.api.patch(WORKFLOW, name, {"spec": {"shutdown": strategy}})

    def service(self) -> Json | None:
        return self.api.get(SERVICE, self.deployment)

    def record(self) -> Record:
        service = self.service()
        assert service, f"there is no Service {self.deployment}"
        return parse(service["metadata"]["annotations"][labels.RECORD], self.deployment)

    def url(self) -> str | None:
        """Of the endpoint, as clients in the cluster reach it; None before there is one."""
        service = self.service()
        return endpoint(service) if service else None

    def root(self) -> str:
        """The directory of the weights that answer clients."""
        url = self.url()
        assert url
        return served_root(url, key=KEY)

    def says(self, question: str = "What is the capital of France?") -> str:
        """What clients are answered."""
        url, message = self.url(), {"role": "user", "content": question}
        assert url
        body = {"model": SERVED_NAME, "messages": [message], "temperature": 0, "max_tokens": 32}
        return str(ask(url, "/v1/chat/completions", body, seconds=60, key=KEY)["choices"][0]["message"]["content"])

    def clients(self, patience_seconds: float = IMPATIENT_SECONDS) -> Clients:
        """They come as soon as they are entered."""
        return Clients(self.chat, patience_seconds)

    @property
    def chat(self) -> Chat:
        """Whom clients ask."""
        return Chat(self.url, SERVED_NAME, KEY)

    def directory(self, commit: str) -> str:
        """As pods see it."""
        return f"/models/{slug(self.model)}/{commit}"

    def pods(self) -> list[Json]:
        """Its model servers."""
        return self.api.list(POD, labels=labels.selector(labels.servers(self.deployment)))

    def settings(self) -> Settings:
        return self.around.s3.settings(PREFIX=self.prefix, SERVING=f"kube://{self.namespace}")

    def objects(self) -> dict[str, int]:
        """What the store holds of this estate, with sizes."""
        return dict(store.connect(self.settings()).list(self.prefix + "/"))


def told(run: Run) -> str:
    """The run, line by line, for the message of an assertion."""
    lines = [f"{run.name} {run.phase} {run.message}"]
    for node in run.nodes:
        lines.append(f"  {node.name} {node.phase} {node.message} {dict(node.outputs)}")
        lines += [f"    {a.number} {a.phase} {a.exit_code} {a.seconds} s {a.message}" for a in node.attempts]
    return "\n".join(lines)


@contextmanager
def estate(around: Surroundings, home: Path, name: str) -> Iterator[Estate]:
    """Afterwards nothing of it is left."""
    api, prefix = around.node.api(name), uuid.uuid4().hex
    config = _config(around, home, name, prefix)
    volume = home / "volume"
    volume.mkdir()
    os.chown(volume, UID, UID)
    try:
        for body in (_namespace(config), *_secrets(around.s3), *objects(config)):
            api.apply(KINDS[body["kind"]], body)
        share.bind(api, volume)
        api.patch(CRON_JOB, RECONCILE_JOB, {"spec": {"suspend": True}})  # else what it finds would be a matter of luck
        with Conductor(api, home / "engine", around.node.kubelet) as conductor:
            made = Estate(around, api, home, conductor, prefix)
            made.catalog()
            yield made
        assert not conductor.problems
    finally:
        around.node.clear(name)
        share.remove(api)
        for kind in (CLUSTER_ROLE_BINDING, CLUSTER_ROLE):
            api.delete(kind, node_reader_name(name))


def _config(around: Surroundings, home: Path, name: str, prefix: str) -> Config:
    catalog = home / "catalog.yaml"
    catalog.write_text("{}")
    settings = {
        "namespace": name,
        "catalog": catalog,
        "hf_endpoint": around.hub.endpoint,
        "aws_endpoint_url": around.network.endpoint,
        "aws_region": "us-east-1",
        "bucket": around.s3.bucket,
        "prefix": prefix,
        "retry_base_seconds": 0.5,
        "smoke_timeout_seconds": 30,
        "stall_seconds": 10,
    }
    return load(local=False, flags=settings)


def _namespace(config: Config) -> Json:
    """First, because the Secrets are there before anything is installed."""
    return next(body for body in objects(config) if body["kind"] == "Namespace")


def _secrets(s3: S3) -> Iterator[Json]:
    keys = {"AWS_ACCESS_KEY_ID": s3.who.access_key, "AWS_SECRET_ACCESS_KEY": s3.who.secret_key}
    for name, values in {**SECRETS, "s3-credentials": keys}.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
