"""Fixtures that more than one test module needs."""

from collections.abc import Iterator

import pytest

from tests.stubs.s3 import S3, clear, server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with server(tmp_path_factory.mktemp("seaweedfs") / "home") as s3:
        yield s3


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A real bucket with nothing in it; the environment's AWS variables lead to it."""
    for name, value in s3_server.environ().items():
        monkeypatch.setenv(name, value)
    yield s3_server
    clear(s3_server)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/goldens anew; review the difference")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))
