import io
import os

import pytest

from tests.stubs.runs import promoted, rolled_back
from workflows.audience import Audience
from workflows.follow import following


@pytest.fixture
def left():
    """A pipe that nobody reads any more, as a stream."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123  # a descriptor has no path
        yield stream  # closing it must not fail either


class Gone(io.StringIO):
    """A terminal that went away."""

    def isatty(self):
        return True

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_what_nobody_reads_goes_nowhere_and_fails_nobody(left):
    audience = Audience(left)
    for _ in range(3):
        assert audience.write("x") == 1
        audience.flush()


def test_a_follower_goes_on_when_its_reader_has_left(left):
    with following(left) as follower:
        follower.update(rolled_back())
        follower.note("stopping")


def test_a_follower_goes_on_when_its_terminal_has_gone():
    with following(Gone()) as follower:
        follower.update(promoted())
        follower.note("stopping")
