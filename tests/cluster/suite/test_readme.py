"""What README and OPERATIONS say to type on a cluster is typed here, in their order, and does what they say.

What differs, and why:
- kubectl is not on the machine: what README asks of it, which is to make a namespace, a Secret, or what is in a file,
  is done by the API. A claim without a class gets its volume from us; kind makes one.
- The store's image is at a registry: its program, which is the same, runs beside the cluster with the arguments of the
  example, and the example's Service leads to it. This machine reaches it under another address than pods do.
- The Hub is the suite's own, its models are small, and a stub serves them: one image in the catalog is another.
- ``install`` and ``uninstall`` are told ``--yes``. What has an NFS share is installed into another namespace, for the
  first installation is there still.
"""

import base64
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from steps.clients.kube.api import (
    CLAIM,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    NAMESPACE,
    SECRET,
    VOLUME,
    Json,
    Kind,
)
from tests.cluster.conductor.controller import Conductor
from tests.cluster.suite.estate import ANSWER, KINDS, MODEL_SERVER, UID
from tests.cluster.suite.node import Node, until
from tests.stubs.hub import LocalHub
from tests.stubs.machine import REPOSITORY
from tests.stubs.readme import Line, lines
from tests.stubs.weights import write_model
from workflows.cluster.rights import node_reader_name

ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
OURS, ANOTHER, STORE = "vllm-promote", "vllm-promote-nfs", "store"
STORE_PORT = 8333
OF_THE_STORE = {"AWS_ACCESS_KEY_ID": "models", "AWS_SECRET_ACCESS_KEY": "made-up"}
FILES = {"s3.env": OF_THE_STORE, "hf.env": {"HF_TOKEN": "hf_CANARY"}, "key.env": {"VLLM_API_KEY": "sk-CANARY"}}
MODELS = ("HuggingFaceTB/SmolLM2-135M-Instruct", "Qwen/Qwen2.5-7B-Instruct")
IMAGES = ("VLLM_PROMOTE_TRANSFER_IMAGE", "VLLM_PROMOTE_CLUSTER_IMAGE")
"""Which images the suite is about may be said from outside."""
OTHERS = ("VLLM_PROMOTE_", "AWS_", "HF_", "ARGO_")
PATIENCE_SECONDS = 400
NOT_HERE = {
    "git pull": "what is tested is this version",
    "make images": "`make cluster` has done so before",
    "kind ": "this cluster is no kind's, and its images are loaded by `make cluster`",
    "kubectl create namespace argo": "Argo is not part of the project; `make argo-test` is run where it is",
    "kubectl apply --server-side -n argo": "the same",
    "kubectl -n argo set env": "the same",
    ".venv/bin/python -m workflows.promote --retry": "a run is retried by Argo itself: `make argo-test`",
    ".venv/bin/python -m workflows.promote --model Qwen/Qwen2.5-7B-Instruct": "its share is nowhere; its plan is made",
}
"""Commands by their beginnings, with the reason why they are not run."""


@dataclass
class Desk:
    """Of the person who types. ``known`` is what the words in capitals stand for by now."""

    node: Node
    home: Path
    hub: LocalHub
    namespace: str = OURS
    """Typed for where the texts have ``OURS``."""
    exported: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def type(self, line: Line) -> str:
        """Do what it says, in words that are checked for being understood at all; what it printed."""
        typed = line.typed.partition("  #")[0].strip()
        for word, value in self.known.items():
            typed = re.sub(rf"\b{word}\b", value, typed)
        match shlex.split(typed):
            case ["export", setting]:
                name, _, value = setting.partition("=")
                self.exported[name] = value
                return ""
            case [".venv/bin/python", "-m", module, *words]:
                return self.run(module, *words)
            case ["kubectl", "create", "namespace", name]:
                return self.put(NAMESPACE, {**NAMESPACE.header, "metadata": {"name": name}}, "default")
            case ["kubectl", "-n", name, "create", "secret", "generic", secret, source]:
                values = FILES[source.removeprefix("--from-env-file=")]
                data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
                return self.put(SECRET, {**SECRET.header, "metadata": {"name": secret}, "data": data}, name)
            case ["kubectl", "-n", name, "apply", "-f", file]:
                return "".join(self.put(KINDS[body["kind"]], body, name) for body in documents(file))
        pytest.fail(f"nobody here knows how to do this, and NOT_HERE gives no reason: {typed}")

    def run(self, module: str, *words: str) -> str:
        verb = module.removeprefix("workflows.")
        agreed = ["--yes"] if verb in ("install", "uninstall") and "--dry-run" not in words else []
        done = subprocess.run(
            [sys.executable, "-m", module, *words, *agreed],
            cwd=REPOSITORY,
            env=self._environment(asks_store=verb == "history" or (verb == "promote" and "--dry-run" in words)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{module} {words}: {said}"
        assert "CANARY" not in said
        return said

    def put(self, kind: Kind, body: Json, namespace: str) -> str:
        """An image that is nowhere is not asked for, but what asks for it has to be good."""
        api = self.node.api(self.namespace if namespace == OURS else namespace)
        api.apply(kind, body, dry_run=kind is DEPLOYMENT)
        return ""

    def _environment(self, *, asks_store: bool) -> dict[str, str]:
        machine = {k: v for k, v in os.environ.items() if k in IMAGES or not k.startswith(OTHERS)}
        own = {
            **self.exported,
            "VLLM_PROMOTE_NAMESPACE": self.namespace,
            "VLLM_PROMOTE_CATALOG": str(self.home / "catalog.yaml"),
            "HF_ENDPOINT": self.hub.endpoint,
        }
        store = {**OF_THE_STORE, "AWS_ENDPOINT_URL": f"http://{self.node.address}:{STORE_PORT}"} if asks_store else {}
        return {**machine, **own, **store}


def documents(file: str) -> list[Json]:
    return list(yaml.safe_load_all((REPOSITORY / file).read_text(encoding="utf-8")))


def below(heading: str) -> list[Line]:
    """What is to be typed there, and can be here. A plan can be made of what cannot be done."""
    found = [line for line in lines() if line.heading == heading]
    assert found, f"there is nothing to type under {heading}"
    return [x for x in found if x.typed.endswith("--dry-run") or not x.typed.startswith(tuple(NOT_HERE))]


def publish(hub: LocalHub, home: Path, seed: int) -> None:
    source = write_model(home / f"model-{seed}", seed=seed, answer=ANSWER, device="cpu")
    content = {str(p.relative_to(source)): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    for model in MODELS:
        hub.publish(model, content)


@contextmanager
def volume(node: Node, directory: Path) -> Iterator[None]:
    """For the claim of the example: what kind's own class would make."""
    directory.mkdir()
    os.chown(directory, UID, UID)
    (claim,) = documents("examples/one-node-claim.yaml")
    spec = {
        "capacity": claim["spec"]["resources"]["requests"],
        "accessModes": claim["spec"]["accessModes"],
        "storageClassName": "",
        "hostPath": {"path": str(directory), "type": "Directory"},
        "claimRef": {**CLAIM.header, "namespace": OURS, "name": claim["metadata"]["name"]},
    }
    api = node.api(OURS)
    api.create(VOLUME, {**VOLUME.header, "metadata": {"name": OURS}, "spec": spec})
    try:
        yield
    finally:
        api.delete(VOLUME, OURS)


@contextmanager
def store(node: Node, directory: Path) -> Iterator[None]:
    """SeaweedFS as the example starts it. Its Service leads here, once that is there."""
    directory.mkdir()
    deployment, _ = documents("examples/one-node-store.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    args = [arg.replace("/data", str(directory)) for arg in container["args"]]
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    with (directory.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen([weed, *args], env={**OF_THE_STORE, "HOME": str(directory)}, stdout=log, stderr=log)
    try:
        until(lambda: _listens(node.address, STORE_PORT), seconds=60)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def lead_to_store(node: Node) -> None:
    """The example's Service finds its pod by a label; here it is told an address."""
    metadata = {"name": "s3", "labels": {"kubernetes.io/service-name": "s3"}}
    body = {
        **ENDPOINT_SLICE.header,
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [node.address]}],
        "ports": [{"name": "", "port": STORE_PORT}],
    }
    node.api(STORE).create(ENDPOINT_SLICE, body)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, node: Node, hugging_face: LocalHub) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("readme")
    catalog = yaml.safe_load((REPOSITORY / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["deployments"]["chat"]["image"] = MODEL_SERVER
    (home / "catalog.yaml").write_text(json.dumps(catalog))  # JSON is YAML
    publish(hugging_face, home, seed=1)
    try:
        with (
            volume(node, home / "volume"),
            store(node, home / "store"),
            Conductor(node.api(OURS), home / "engine", node.kubelet) as conductor,
        ):
            yield Desk(node, home, hugging_face)
        assert not conductor.problems
    finally:
        for name in (OURS, ANOTHER, STORE):
            remove(node, name)


def remove(node: Node, namespace: str) -> None:
    node.clear(namespace)
    api = node.api(namespace)
    api.delete(VOLUME, f"{namespace}-models")
    for kind in (CLUSTER_ROLE_BINDING, CLUSTER_ROLE):
        api.delete(kind, node_reader_name(namespace))


@pytest.fixture(scope="module")
def one_node(desk: Desk) -> str:
    """What the first promotion printed."""
    said = ""
    for line in below("First promotion: one node"):
        said = desk.type(line)
        if line.typed.endswith("one-node-store.yaml"):
            lead_to_store(desk.node)
    return said


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_from_an_empty_cluster_to_the_first_promotion(one_node: str):
    assert "\npromoted\n" in one_node
    assert f"{MODELS[0]} at " in one_node


@pytest.mark.timeout(3 * PATIENCE_SECONDS)
def test_what_is_typed_day_by_day(one_node: str, desk: Desk):
    publish(desk.hub, desk.home, seed=2)
    served = status(desk)["live"]["release_id"]
    for line in below("Day by day"):
        if "workflows.stop" in line.typed:
            publish(desk.hub, desk.home, seed=3)
            desk.known["RUN"] = begun(desk.run("workflows.promote", "--model", MODELS[0], "--no-wait"))
        if "--release" in line.typed:  # as the rollback before it has refused it
            (desk.known["RELEASE"],) = status(desk)["refused"]
        said = desk.type(line)
        if line.typed.endswith("--no-wait"):
            desk.known["RUN"] = begun(said)

    now = status(desk)
    assert (now["live"]["release_id"], now["refused"]) == (served, [])


def begun(said: str) -> str:
    match = re.match(r"submitted (\S+);", said)
    assert match, said
    return match[1]


def status(desk: Desk) -> Json:
    (found,) = json.loads(desk.run("workflows.status", "-o", "json"))
    return dict(found)


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
def test_what_is_typed_when_something_is_wrong_to_upgrade_and_to_take_it_out(one_node: str, desk: Desk):
    desk.known["RELEASE"] = status(desk)["previous"]["release_id"]

    for line in below("A person is needed"):
        desk.type(line)
    for line in below("A new version of vllm-promote"):
        assert "Nothing to change" in desk.type(line)
    for line in below("Taking it out"):
        assert "This stays, as does everything in the store." in desk.type(line)


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_an_installation_with_an_nfs_share_and_the_plan_of_a_promotion(desk: Desk, one_node: str):
    """Last, because from then on these are the settings of whoever types."""
    desk.namespace = ANOTHER

    said = [desk.type(line) for line in below("First promotion: GPUs and an NFS share")]

    assert any("This was a dry run: nothing was changed." in text for text in said)
    assert any("Done." in text for text in said)
    assert f"model            {MODELS[1]}" in said[-1]


def test_each_exception_is_still_in_the_texts():
    typed = [line.typed for line in lines()]
    assert [beginning for beginning in NOT_HERE if not any(t.startswith(beginning) for t in typed)] == []
