"""The cluster, and in it an estate for each module. What is missing is a failure: here nothing is skipped."""

import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from steps.errors import StepError
from tests.cluster.suite import crds
from tests.cluster.suite.estate import MODEL_SERVER, Estate, Surroundings
from tests.cluster.suite.estate import estate as one_estate
from tests.cluster.suite.node import GPU, Node, here
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.proxy import Proxy, proxy
from tests.stubs.s3 import S3, server
from workflows.config import load
from workflows.render import template_config

LONGEST = ("test_promotion", "test_real_vllm", "test_crons", "test_commands")

IMAGES_SECONDS = 120
REMEDY = "run `make cluster-test`, which starts the cluster and runs these tests within its network"


@pytest.fixture(scope="session")
def node() -> Node:
    """With its kinds of Argo's, its images, and one GPU."""
    try:
        found = here()
        crds.ensure(found)
    except KeyError as err:
        pytest.fail(f"{err} is not set: this is not inside the cluster's network; {REMEDY}")
    except StepError as err:
        pytest.fail(f"the cluster does not answer: {err}; {REMEDY}")
    if missing := _missing_images(found):
        pytest.fail(f"the node has no image {missing[0]}; {REMEDY}")
    found.advertise(GPU, 1)
    return found


def _missing_images(node: Node) -> list[str]:
    """A kubelet tells of what was loaded some time later."""
    used, deadline = template_config(load(local=False)), time.monotonic() + IMAGES_SECONDS
    wanted = (used.transfer_image, used.cluster_image, MODEL_SERVER)
    while missing := [image for image in wanted if f"docker.io/{image}" not in node.images()]:
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    return missing


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[S3]:
    """The environment's AWS variables lead to it, for what tests look up there."""
    with server(tmp_path_factory.mktemp("seaweedfs") / "home") as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environ().items():
            patch.setenv(name, value)
        yield s3


@pytest.fixture(scope="session")
def network(node: Node, store: S3) -> Iterator[Proxy]:
    """Between the pods and the store, which listens on loopback alone."""
    with proxy(store.endpoint, node.address) as between:
        yield between


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub"), node.address) as hub:
        yield hub


@pytest.fixture(scope="session")
def around(node: Node, hugging_face: LocalHub, store: S3, network: Proxy) -> Surroundings:
    return Surroundings(node, hugging_face, store, network)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, around: Surroundings) -> Iterator[Estate]:
    name = f"lab-suite-{secrets.token_hex(3)}"
    with one_estate(around, tmp_path_factory.mktemp("estate"), name) as made:
        yield made


@pytest.fixture
def tell(measured: Callable[[str], None]) -> Callable[[str], None]:
    return measured


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that none of them ends alone."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
