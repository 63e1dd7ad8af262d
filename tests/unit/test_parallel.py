import threading
import time

import pytest

from steps import parallel


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_taken_in_order_whichever_is_ready_first(workers):
    taken: list[int] = []

    def work(n):
        time.sleep(0 if n % 2 else 0.01)
        return n

    parallel.in_order(work, range(9), workers, taken.append)
    assert taken == list(range(9))


def test_there_are_never_more_results_than_workers():
    lock = threading.Lock()
    untaken = peak = 0

    def work(_item):
        nonlocal untaken, peak
        with lock:
            untaken += 1
            peak = max(peak, untaken)

    def take(_result):
        nonlocal untaken
        time.sleep(0.001)
        with lock:
            untaken -= 1

    parallel.in_order(work, range(40), 4, take)
    assert 1 < peak <= 4


def test_work_goes_on_side_by_side():
    both = threading.Barrier(2, timeout=10)
    parallel.in_order(lambda _: both.wait(), range(2), 2, parallel.nothing)


def test_a_failure_is_raised_after_all_that_had_begun_is_over():
    over: list[int] = []

    def work(n):
        if n == 0:
            raise ZeroDivisionError
        time.sleep(0.05)
        over.append(n)

    with pytest.raises(ZeroDivisionError):
        parallel.in_order(work, range(10), 3, parallel.nothing)
    assert sorted(over) == [1, 2]


def test_nothing_to_do_is_done():
    parallel.in_order(lambda n: n, [], 4, parallel.nothing)


def test_what_is_brought_is_taken_by_its_number():
    taken: list[str] = []
    ordered = parallel.Ordered(taken.append)
    for number, thing in ((3, "c"), (1, "a"), (2, "b"), (4, "d")):
        ordered.bring(number, thing)
    assert taken == ["a", "b", "c", "d"]


def test_what_many_threads_bring_is_taken_one_at_a_time_and_in_order():
    taken: list[int] = []
    taking = threading.Lock()

    def take(n):
        assert taking.acquire(blocking=False)
        time.sleep(0.0001)
        taken.append(n)
        taking.release()

    ordered = parallel.Ordered(take)
    numbers = list(range(1, 301))
    parallel.in_order(lambda n: ordered.bring(n, n), sorted(numbers, key=lambda n: n ^ 5), 8, parallel.nothing)
    assert taken == numbers


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_each_item_is_worked_on_once(workers):
    done: list[int] = []
    parallel.each(done.append, range(20), workers)
    assert sorted(done) == list(range(20))


def test_so_many_at_once_and_no_more():
    all_three = threading.Barrier(3, timeout=10)
    running: list[int] = []
    most = 0

    def work(item):
        nonlocal most
        running.append(item)
        most = max(most, len(running))
        all_three.wait()
        running.remove(item)
        all_three.wait()

    parallel.each(work, range(9), 3)
    assert most == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_after_a_failure_nothing_more_is_begun_and_it_is_raised_when_the_rest_is_done(workers):
    begun: list[int] = []
    ended: list[int] = []

    def work(item):
        begun.append(item)
        if item == 2:
            raise LookupError(item)
        time.sleep(0.05)  # so that the failure finds others at work
        ended.append(item)

    with pytest.raises(LookupError):
        parallel.each(work, range(100), workers)
    assert len(begun) < 10
    assert sorted([*ended, 2]) == sorted(begun)


@pytest.mark.parametrize("workers", [1, 3])
def test_items_that_cannot_be_had_are_a_failure_too(workers):
    def items():
        yield 1
        raise LookupError("the list breaks off")

    with pytest.raises(LookupError, match="breaks off"):
        parallel.each(lambda _item: None, items(), workers)


def test_who_is_interrupted_while_it_waits_has_nothing_begun_any_more(monkeypatch):
    begun: list[int] = []

    def work(item):
        begun.append(item)
        time.sleep(0.02)  # or all items would be done before the interrupt

    def interrupted(_futures):
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel.each(work, range(1000), 3)
    assert len(begun) <= 6
