"""How long clients of a real vLLM have no answer: promotion and rollback, both strategies, with and without what is
done beforehand. It measures, takes a quarter of an hour on a quiet machine, and is no part of the suite:

    .venv/bin/python -m tests.cluster.kubernetes exec -- .venv/bin/python -m pytest tests/cluster/suite/outages.py

The machine's page cache is emptied as each deploy begins: the candidate's files have then never been read on its node,
as on a cluster of many nodes. Clients ask for one token, one after the other, a tenth of a second in between. What they
had no answer for is told beside what the project says of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from steps.clients.clock import SystemClock
from steps.clients.kube.api import ROLE_BINDING, WORKFLOW
from steps.clients.kube.serving import KubeServing
from steps.core import argo
from steps.core.installed import ROLLBACK_TEMPLATE
from steps.core.run import Run
from steps.core.workload import Where
from tests.cluster.suite.estate import Estate, told
from tests.cluster.suite.node import ACCELERATOR
from tests.cluster.suite.test_real_vllm import IMPATIENT_SECONDS, PATIENCE_SECONDS, bring, catalog, chat, made, times
from tests.stubs.clients import PATIENT_SECONDS, Clients
from workflows.local.hub import publish
from workflows.rollback import parameters

__all__ = ["bring", "chat"]  # fixtures
PREPARE = "vllm-promote-prepare"
ROUNDS = 2
DROP = Path("/proc/sys/vm/drop_caches")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """At once: who has to stop in the middle keeps what was measured by then."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", flush=True)  # noqa: T201  # what it is for

    return say


@pytest.fixture(scope="module")
def versions(chat: Estate, bring: Callable[[str], tuple[str, Run, Clients]]) -> Iterator[str]:
    """Promoted in turns; the first of them here."""
    _, run, _ = bring("first")
    assert run.phase == "Succeeded", told(run)
    publish(chat.around.hub.root, chat.model, made() / "second", branch="second", message="second", link=True)
    return cycle(("second", "first"))


@contextmanager
def unable_to_prepare(served: Estate) -> Iterator[None]:
    """As an installation from before that right existed."""
    binding = served.api.get(ROLE_BINDING, PREPARE)
    assert binding
    served.api.delete(ROLE_BINDING, PREPARE)
    yield
    kept = {"name": PREPARE, "labels": binding["metadata"]["labels"]}
    served.api.create(ROLE_BINDING, {**binding, "metadata": kept})


def cold(served: Estate, name: str) -> Run:
    """The run, ended; nothing of what it starts had been read as its deploy began."""
    served.reached(name, "deploy", seconds=PATIENCE_SECONDS)
    DROP.write_text("3")
    run = served.ended(name, PATIENCE_SECONDS)
    assert run.phase == "Succeeded", told(run)
    return run


def back(served: Estate) -> str:
    """Submit a rollback by hand, as `workflows.rollback` does."""
    where = Where(claim="models", volume="/models")
    known = KubeServing(served.api, served.deployment, where, SystemClock())
    release = known.release(served.record().previous or "")
    assert release
    body = argo.workflow(ROLLBACK_TEMPLATE, parameters(release, served.record().live), generate_name="back-")
    return str(served.api.create(WORKFLOW, body)["metadata"]["name"])


def outage(run: Run, clients: Clients) -> str:
    said = float(run.output("promote", "outage_seconds") or run.output("rollback", "outage_seconds") or "nan")
    return f"{clients.outage_seconds:.1f} s without an answer, told as {said:.1f} s; {times(run)}"


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("prepared", [False, True], ids=["unprepared", "prepared"])
def test_recreate(chat: Estate, versions, tell, prepared, number):
    with chat.clients(IMPATIENT_SECONDS) as clients:
        if prepared:
            run = cold(chat, chat.submit(next(versions)))
        else:
            with unable_to_prepare(chat):
                run = cold(chat, chat.submit(next(versions)))
    tell(f"recreate, {'prepared' if prepared else 'unprepared'}, {number + 1}: {outage(run, clients)}")


def test_recreate_back_by_hand(chat: Estate, versions, tell):
    if chat.record().previous is None:
        cold(chat, chat.submit(next(versions)))
    with chat.clients(IMPATIENT_SECONDS) as clients:
        run = cold(chat, back(chat))
    tell(f"recreate, back by hand: {outage(run, clients)}")


@pytest.fixture
def beside(chat: Estate) -> Iterator[Estate]:
    catalog(chat, strategy="blue-green", startup_budget_seconds=600)
    with chat.around.node.having(ACCELERATOR, 2):
        yield chat
    catalog(chat)


def test_recreate_refused(chat: Estate, versions, bring, tell):
    _, run, clients = bring("damaged")
    assert run.output("rollback", "outcome") == "rolled-back", told(run)
    tell(f"recreate, refused and rolled back: {outage(run, clients)}")


def test_blue_green(beside: Estate, versions, bring, tell):
    for version in ("third", "second"):
        with beside.clients(PATIENT_SECONDS) as clients:
            run = bring(version)[1]
        assert run.phase == "Succeeded", told(run)
        tell(f"blue-green: {outage(run, clients)}; {len(clients.answers)} requests, {len(clients.failures)} lost")
        assert clients.failures == []


def test_blue_green_back_by_hand(beside: Estate, tell):
    with beside.clients(PATIENT_SECONDS) as clients:
        run = beside.ended(back(beside), PATIENCE_SECONDS)
    assert run.phase == "Succeeded", told(run)
    tell(f"blue-green, back by hand: {outage(run, clients)}; {len(clients.answers)} requests, all answered")
    assert clients.failures == []
