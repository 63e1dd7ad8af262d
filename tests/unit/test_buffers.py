import ctypes
import threading

import pytest

from steps.buffers import Buffers
from steps.core.parts import PREFERRED


def test_what_is_taken_has_the_size_that_was_asked_for():
    buffers = Buffers(4 * PREFERRED)
    assert [len(buffers.take(size)) for size in (0, 7, 2 * PREFERRED)] == [0, 7, 2 * PREFERRED]


def test_memory_that_came_back_is_lent_again():
    buffers = Buffers(PREFERRED)
    first = buffers.take(PREFERRED)
    lent = first.obj
    buffers.give(first)
    assert buffers.take(5).obj is lent


def test_memory_that_is_too_small_is_not_lent_again():
    buffers = Buffers(2 * PREFERRED)
    buffers.give(buffers.take(PREFERRED))
    assert len(buffers.take(2 * PREFERRED)) == 2 * PREFERRED


@pytest.mark.parametrize("size", [0, 1, PREFERRED])
def test_who_asks_for_more_than_there_is_waits_until_something_comes_back(size):
    buffers = Buffers(2 * PREFERRED)
    taken = [buffers.take(size), buffers.take(size)]
    third = threading.Event()

    def take():
        buffers.take(size)
        third.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not third.wait(0.05)
    buffers.give(taken[0])
    waiting.join(10)
    assert third.is_set()


def test_small_pieces_are_lent_where_that_was_said():
    buffers = Buffers(3 * 4096, least=4096)
    assert [len(buffers.take(size)) for size in (1, 4096, 0)] == [1, 4096, 0]


def test_it_begins_at_a_page():
    body = Buffers(PREFERRED).take(PREFERRED)
    assert ctypes.addressof(ctypes.c_char.from_buffer(body)) % 4096 == 0
