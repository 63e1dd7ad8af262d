"""The one node of the cluster that the suite has to itself: its GPUs, its pods, what an administrator may do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kubernetes import client as kubernetes

from steps.clients.kube import api, cluster
from steps.clients.kube.api import POD, Json
from steps.clients.kube.cluster import Cluster
from tests.cluster.kubernetes import admin
from tests.cluster.kubernetes.layout import ADDRESS, NODE, Layout

GPU = "nvidia.com/gpu"
ACCELERATOR = "vllm-promote.test/accelerator"
"""Stands for the one device that a real vLLM without a GPU is given, so that two of them cannot run at once."""
NODE_SECONDS = 120.0
"""A kubelet tells of its node every ten."""
T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """``layout`` says where on this machine its files are."""

    layout: Layout

    @property
    def address(self) -> str:
        """Where pods reach a server beside the cluster."""
        return ADDRESS

    @property
    def kubelet(self) -> Path:
        """Its directory: pods' volumes are below."""
        return self.layout.state / "kubelet"

    def api(self, namespace: str) -> Cluster:
        """As administrator."""
        return cluster.connect(namespace)

    @property
    def core(self) -> kubernetes.CoreV1Api:
        """The official client as administrator: nothing of the project's own is between it and the cluster."""
        return kubernetes.CoreV1Api(self.api("default").client)

    def advertise(self, resource: str, count: int) -> None:
        admin.advertise(self.layout, {resource: count})
        until(lambda: self.allocatable(resource) == count, NODE_SECONDS)

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
            until(lambda: self._killed(namespace), seconds=180)

    def _killed(self, namespace: str) -> bool:
        pods = self.api(namespace).list(POD)
        for pod in pods:
            with suppress(kubernetes.ApiException):
                self.core.delete_namespaced_pod(pod["metadata"]["name"], namespace, grace_period_seconds=1)
        return not pods

    def _status(self) -> Json:
        found = self.api("default").get(api.NODE, NODE)
        assert found
        return dict(found["status"])


def here() -> Node:
    """Raises KeyError outside the cluster's network, where the environment does not name it."""
    return Node(Layout(Path(os.environ["LOCALCLUSTER_STATE"])))


def until(condition: Callable[[], T], seconds: float = 90.0, every: float = 0.2) -> T:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not come true in {seconds:g} s; it is {value!r}"
        time.sleep(every)
    return value
