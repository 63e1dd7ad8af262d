"""Work spread over processes: what it raises, what it leaves, and that none of them is left."""

import errno
import os
import pickle
import signal
import threading
import time
from contextlib import suppress

import psutil
import pytest

from steps import processes
from steps.errors import Corrupt, StepError, Transient
from tests.stubs.leftovers import lives
from tests.stubs.local import until

PATIENCE_SECONDS = 20


def each(work, items, count=2, threads=2, tell=lambda _amount: None):
    processes.each(work, items, count, threads, tell)


def has_no_child() -> bool:
    with suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        return False
    return True


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_item_is_done_once_and_the_amounts_are_summed_up(tmp_path, count):
    told: list[int] = []

    def work(n):
        with (tmp_path / str(n)).open("x") as made:
            made.write(str(os.getpid()))
        return n

    each(work, range(50), count, tell=told.append)
    assert sum(told) == sum(range(50))
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == list(range(50))
    by = {int(p.read_text()) for p in tmp_path.iterdir()}
    assert len(by) == count
    assert (os.getpid() in by) == (count == 1)
    assert has_no_child()


def test_nothing_to_do_is_done():
    each(lambda n: n, [])
    assert has_no_child()


@pytest.mark.parametrize("count", [1, 2])
def test_what_was_raised_first_is_raised_here_and_nothing_more_is_begun(tmp_path, count):
    def work(n):
        if n == 3:
            raise Corrupt("as told")
        time.sleep(0.01)  # so that a thousand of them are not done before the others hear of it
        (tmp_path / str(n)).touch()
        return 1

    with pytest.raises(Corrupt) as raised:
        each(work, range(1000), count)
    assert str(raised.value) == "as told"
    assert len(list(tmp_path.iterdir())) < 50
    assert has_no_child()
    if count > 1:
        assert "in work" in raised.value.__notes__[0]  # where it came from, for who looks for a bug


def test_of_two_failures_the_first_is_told_although_the_other_process_ends_before(tmp_path):
    begun, failed = tmp_path / "begun", tmp_path / "failed"

    def work(n):
        if n == 2:  # of the same process as the first failure, which so does not end at once
            begun.touch()
            time.sleep(0.5)  # longer than the second failure takes
            return 1
        until((begun if n == 0 else failed).exists, PATIENCE_SECONDS)
        if n == 0:
            failed.touch()
            raise Corrupt("the first")
        time.sleep(0.1)  # the other has written down its failure by then
        raise Transient("the second")

    with pytest.raises(Corrupt, match="the first"):
        each(work, range(4))
    assert has_no_child()


def test_what_cannot_be_sent_is_told_in_words():
    class LocalError(Exception):
        pass

    def work(_n):
        raise LocalError("of a kind that only one process knows")

    with pytest.raises(RuntimeError, match="LocalError: of a kind that only one process knows") as caught:
        each(work, range(2))
    assert 'raise LocalError("of a kind' in caught.value.__notes__[0]


def test_half_of_what_a_killed_process_had_to_say_is_no_failure_of_the_work():
    half = pickle.dumps(Corrupt("x" * 1000))[:500]
    told = processes._failure(half, -9)
    assert isinstance(told, Transient)
    assert "killed by signal 9" in str(told)


def test_where_no_pipe_may_be_made_it_is_worth_another_try(monkeypatch):
    def full():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", full)
    with pytest.raises(Transient, match="Too many open files"):
        each(lambda _n: 1, range(2))


def test_an_error_of_the_system_keeps_its_number(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        each(lambda n: (tmp_path / "none" / str(n)).stat().st_size, range(2))
    assert raised.value.filename


def test_a_process_that_is_killed_ends_the_work_and_is_told(tmp_path):
    def work(n):
        if n == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)  # so that a thousand of them are not done before the others hear of it
        (tmp_path / str(n)).touch()
        return 1

    with pytest.raises(Transient, match="killed by signal 9; run it again"):
        each(work, range(1000))
    assert len(list(tmp_path.iterdir())) < 100
    assert has_no_child()


def test_where_no_process_may_be_begun_those_that_were_are_ended(monkeypatch):
    forked: list[int] = []
    fork = os.fork

    def once():
        if forked:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        forked.append(fork())
        return forked[0]

    monkeypatch.setattr(os, "fork", once)
    with pytest.raises(Transient, match="no more processes may be begun here"):
        each(lambda _n: time.sleep(60), range(2))
    assert has_no_child()


def test_who_is_interrupted_leaves_no_process_at_work():
    def interrupted(_amount):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each(lambda _n: time.sleep(60), range(2), tell=interrupted)
    assert has_no_child()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("in_thread", [False, True])
def test_none_outlives_who_forked_it(tmp_path, number, in_thread):
    def work(n):
        (tmp_path / f"{n}-{os.getpid()}").touch()
        time.sleep(60)  # until it is ended
        return 1

    parent = os.fork()
    if not parent:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # as a step's process does
        asking = threading.Thread(target=each, args=(work, range(2)))
        asking.start() if in_thread else each(work, range(2))
        asking.join()
    try:
        until(lambda: len(list(tmp_path.iterdir())) == 2, PATIENCE_SECONDS)
        forked = [psutil.Process(int(seen.name.partition("-")[2])) for seen in tmp_path.iterdir()]
    finally:
        os.kill(parent, number)
        os.waitpid(parent, 0)
    until(lambda: not any(map(lives, forked)), PATIENCE_SECONDS)


def test_a_ctrl_c_is_the_parents_business(tmp_path):
    """A terminal sends it to all of them."""

    def work(n):
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / str(n)).touch()
        return 1

    each(work, range(4))
    assert len(list(tmp_path.iterdir())) == 4


def test_every_error_of_a_step_comes_through_as_it_is():
    def kinds(of):
        return {of, *(found for each in of.__subclasses__() for found in kinds(each))}

    for kind in kinds(StepError):

        def work(_n, kind=kind):
            raise kind("what, where, what next")

        with pytest.raises(kind) as raised:
            each(work, range(1), threads=1)
        assert type(raised.value) is kind
        assert str(raised.value) == "what, where, what next"
