"""A namespace of the cluster that ``KUBECONFIG`` names, with an Argo controller that looks after it.

Settings as everywhere: ``VLLM_PROMOTE_NAMESPACE``, ``VLLM_PROMOTE_TRANSFER_IMAGE``; ``ARGO_SERVER`` and ``ARGO_TOKEN``
where people reach Argo that way. Whatever is missing is a failure, never a skip.
"""

import os

import pytest

from steps.clients.kube import cluster
from tests.cluster.argo.house import House
from workflows import config, render
from workflows.argo import access


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="write tests/cluster/recordings anew; review the difference")


@pytest.fixture(scope="session")
def house() -> House:
    told = config.load(local=False)
    furnished = House(
        api=cluster.connect(told.namespace),
        access=access.connect(told, os.environ),
        image=render.template_config(told).transfer_image,
    )
    furnished.furnish()
    if not furnished.is_looked_after():
        pytest.fail(
            f"no controller of Argo looks after namespace {told.namespace}: start one, or name another namespace with "
            "VLLM_PROMOTE_NAMESPACE"
        )
    return furnished
