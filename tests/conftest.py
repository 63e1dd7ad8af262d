"""Fixtures that more than one test module needs."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.s3 import S3, SCRATCH, clear, server

# Who starts the tests in the background of a shell has them ignore Ctrl-C, and so would each process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with server(tmp_path_factory.mktemp("seaweedfs") / "home") as s3:
        yield s3


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A real bucket with nothing in it; the environment's AWS variables lead to it."""
    scratch = s3_server.in_bucket(SCRATCH)
    for name, value in scratch.environ().items():
        monkeypatch.setenv(name, value)
    yield scratch
    clear(scratch)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub for the real client, with no model yet; the environment leads to it, with no token."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with local_hub(tmp_path / "hub") as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/goldens anew; review the difference")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))
