import json

import pytest

from steps.clients.local.journal import LocalJournal
from steps.core.run import Node, Run
from steps.errors import Corrupt
from workflows.local.ledger import Ledger
from workflows.local.locks import Lock

RUN = Run(
    name="r1", uid="r1", template="t", parameters={"p": "v"}, phase="Running", started=1.0, nodes=(Node(name="a"),)
)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    return LocalJournal(tmp_path)


@pytest.fixture
def told():
    return []


@pytest.fixture
def ledger(home, told):
    return Ledger(RUN, home.file("r1"), told.append)


def test_each_change_is_on_disk_before_it_is_told(home, told):
    ledger = Ledger(RUN, home.file("r1"), lambda run: told.append(home.run("r1") == run))

    ledger.change_node("a", phase="Running")

    assert told == [True, True]


def test_what_does_not_change_is_not_written_again(ledger, told):
    ledger.change(message="")

    assert told == [RUN]


def test_attempts_are_numbered_on(ledger):
    for _ in range(2):
        ledger.begin_attempt("a")
        ledger.end_attempt("a", "Failed", 75, "said")

    assert [(a.number, a.exit_code, a.message) for a in ledger.node("a").attempts] == [(0, 75, "said"), (1, 75, "said")]


def test_a_run_that_was_never_written_is_none(home):
    assert home.run("r2") is None


def test_a_run_that_cannot_be_read_is_said_to_be_so(home):
    home.file("r1").write_text(json.dumps({"name": "r1"}))

    with pytest.raises(Corrupt, match=r"run\.json"):
        home.run("r1")


def test_a_run_is_alive_while_its_lock_is_held(home):
    lock = Lock(home.alive_lock("r1"))

    assert not home.alive("r1")
    assert lock.take("r1")
    assert home.alive("r1")
    lock.let_go()
    assert not home.alive("r1")


def test_a_lock_is_held_once_and_says_by_whom(tmp_path):
    first, second = Lock(tmp_path / "l" / "m"), Lock(tmp_path / "l" / "m")

    assert first.take("r1")
    assert not second.take("r2")
    assert second.holder() == "r1"
