"""Fixtures that more than one test module needs."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.stubs.exploring import Explored
from tests.stubs.hub import LocalHub, local_hub
from tests.stubs.s3 import S3, SCRATCH, clear, server

# Who starts the tests in the background of a shell has them ignore Ctrl-C, and so would each process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's matter: one that is busy keeps a process waiting for as long as it likes.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


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


MEASURED, EXPLORED = "measured", "explored"


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What was measured is printed at the end, whatever pytest does with the output."""
    return partial(record_property, MEASURED)


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """The sum of what was explored is printed at the end; who explores nothing fails."""

    def tell(explored: Explored, *, moments: int, states: int, what: str = "crash points") -> None:
        assert explored.moments >= moments
        assert explored.states >= states
        assert explored.continuations >= explored.states
        record_property(EXPLORED, [what, explored.moments, explored.states, explored.continuations])

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for found in terminalreporter.stats.values() for r in found if isinstance(r, pytest.TestReport)]
    told = [said for r in reports if r.when == "call" for said in r.user_properties]
    lines = [str(said) for name, said in told if name == MEASURED]
    explored = [said for name, said in told if name == EXPLORED and isinstance(said, list)]
    for what in dict.fromkeys(said[0] for said in explored):
        sums = [said[1:] for said in explored if said[0] == what]
        moments, states, continuations = (sum(each) for each in zip(*sums, strict=True))
        lines.append(
            f"{moments} {what} in {len(sums)} pieces of work, which leave {states} states of the world: "
            f"{continuations} continuations were put right"
        )
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.line(line)
