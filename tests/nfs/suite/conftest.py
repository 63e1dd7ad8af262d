"""The server and its clients, one for all tests, and a volume of its own for each. What is missing is a failure."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.clients import direct, store
from steps.core import parts
from tests.nfs.server import Server, Volume
from tests.nfs.suite.site import LARGE, Site
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.released import Released, weights
from tests.stubs.s3 import S3

KERNEL = "User Mode Linux"
NUMBERS = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nfs", choices=("3", "4.2"), help="the version; set by `make nfs-test`")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    version = request.config.getoption("--nfs")
    if not version or KERNEL not in Path("/proc/cpuinfo").read_text():
        pytest.fail("this is no machine to be turned into an NFS server; run `make nfs-test`, which starts one")
    made = Server(version)
    made.boot()
    return made


@pytest.fixture
def volume(server: Server) -> Volume:
    made = Volume(server, f"volume-{next(NUMBERS)}")
    made.make()
    return made


@pytest.fixture(scope="session")
def model(s3_server: S3) -> Released:
    """In the store."""
    content = weights(size=direct.LEAST // 2)
    content[LARGE] = weights(size=parts.PREFERRED + 1)[LARGE]
    made = Released(content)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3_server.environ().items():
            environment.setenv(name, value)
        connected = store.connect(s3_server.settings())
        made.resolve_into(connected)
        made.mirror_into(connected)
    return made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with local_hub(tmp_path / "hub") as made:
        yield made


@pytest.fixture
def coming(hub: LocalHub, model: Released, s3_server: S3) -> Iterator[Released]:
    """The same files at another commit: on the Hub, resolved, and not yet in the store."""
    content = {**model.content, "notes.json": hub.endpoint.encode()}
    made = Released(content, commit=hub.publish("org/stub", content))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3_server.environ().items():
            environment.setenv(name, value)
        connected = store.connect(s3_server.settings())
        for key in connected.list(model.layout.manifests_prefix(model.model)):
            connected.delete(key)  # else the store would copy what it has of another commit
        made.resolve_into(connected)
        yield made
        connected.put(model.manifest_key, model.manifest.dump())


@pytest.fixture
def site(server: Server, volume: Volume, s3_server: S3, tmp_path: Path) -> Iterator[Site]:
    with Site(server, volume, s3_server, tmp_path) as made:
        yield made


@pytest.fixture
def a(server: Server, volume: Volume) -> Path:
    """The volume as one client has it."""
    return volume.mount(server.clients[0])


@pytest.fixture
def b(server: Server, volume: Volume) -> Path:
    """And as another one has it."""
    return volume.mount(server.clients[1])
