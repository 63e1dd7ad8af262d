"""The one node of the cluster that the suite has to itself: its GPUs, its pods, what an administrator may do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kubernetes import client as kubernetes

from steps.clients.kube import cluster
from steps.clients.kube.api import NODE as NODES
from steps.clients.kube.api import POD, Json
from steps.clients.kube.cluster import Cluster

NODE = "local"
GPU = "nvidia.com/gpu"
ACCELERATOR = "vllm-promote.test/accelerator"
"""Stands for the one device that a real vLLM without a GPU is given, so that two of them cannot run at once."""
T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """``state`` is the cluster's directory on this machine, ``address`` where servers beside it are reached by pods."""

    state: Path
    address: str

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    def api(self, namespace: str) -> Cluster:
        """As administrator."""
        return cluster.connect(namespace)

    @property
    def core(self) -> kubernetes.CoreV1Api:
        """The official client as administrator: nothing of the project's own is between it and the cluster."""
        return kubernetes.CoreV1Api(self.api("default").client)

    def advertise(self, resource: str, count: int) -> None:
        """As a device plugin does, without a device."""
        change = {"status": {"capacity": {resource: str(count)}}}
        self.core.patch_node_status(NODE, change)
        until(lambda: self.allocatable(resource) == count)

    def allocatable(self, resource: str) -> int:
        return int(self._status()["allocatable"].get(resource, "0"))

    @contextmanager
    def having(self, resource: str, count: int) -> Iterator[None]:
        before = self.allocatable(resource)
        self.advertise(resource, count)
        try:
            yield
        finally:
            self.advertise(resource, before)

    def images(self) -> set[str]:
        """Names, as the kubelet tells them."""
        return {name for image in self._status()["images"] for name in image.get("names") or ()}

    def clear(self, namespace: str) -> None:
        """Remove the namespace, and do not wait for its pods to end politely."""
        core = self.core
        with suppress(kubernetes.ApiException):
            core.delete_namespace(namespace)
            until(lambda: self._killed(namespace), seconds=60)

    def _killed(self, namespace: str) -> bool:
        pods = self.api(namespace).list(POD)
        for pod in pods:
            with suppress(kubernetes.ApiException):
                self.core.delete_namespaced_pod(pod["metadata"]["name"], namespace, grace_period_seconds=1)
        return not pods

    def _status(self) -> Json:
        found = self.api("default").get(NODES, NODE)
        assert found
        return dict(found["status"])


def here() -> Node:
    """Raises KeyError outside the cluster's network, where its environment is not set."""
    return Node(Path(os.environ["LOCALCLUSTER_STATE"]), os.environ["LOCALCLUSTER_IP"])


def until(condition: Callable[[], T], seconds: float = 30.0, every: float = 0.2) -> T:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not come true in {seconds:g} s; it is {value!r}"
        time.sleep(every)
    return value
