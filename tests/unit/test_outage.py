"""How the tests measure what clients missed."""

import pytest

from tests.stubs.clients import Answer, Chat, Clients

NOBODY = Chat(lambda: None, "")


def clients(*answers: tuple[float, str | None]) -> Clients:
    return Clients(NOBODY, answers=[Answer(at, root) for at, root in answers])


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        (clients((0, "a"), (1, "a")), 0),
        (clients((0, "a"), (1, None), (2, None), (3, "b"), (4, "b")), 2),
        (clients((0, None), (1, "a"), (2, None), (5, "a")), 3),
        (clients((0, "a"), (1, None), (9, None)), 8),
        (clients(), 0),
    ],
    ids=["none", "one", "the longest", "to the end", "nobody asked"],
)
def test_an_outage_is_the_longest_time_in_which_every_request_failed(seen, seconds):
    assert seen.outage_seconds == seconds


def test_weights_are_told_in_the_order_in_which_they_answered():
    assert clients((0, "a"), (1, None), (2, "b"), (3, "a")).roots == ["a", "b"]


def test_each_request_without_an_answer_is_told_with_the_time_and_the_reason():
    lost = Clients(NOBODY, answers=[Answer(5, "a"), Answer(6.5, None, "refused")])

    assert lost.failures == ["1.5 s: refused"]


def test_the_change_is_when_the_first_weights_answered_no_longer():
    assert clients((0, None), (1, "a"), (2, "a"), (3, None), (4, "b")).changed_at() == 3
    assert clients((1, "a"), (2, "b")).changed_at() == 2
