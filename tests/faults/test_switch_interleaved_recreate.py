"""Promotions, crashes, stops, reconcilers, people in any order, with recreate: see ``tests.stubs.interleaving``."""

import pytest

from tests.stubs.interleaving import Interleaving, explored


class Recreate(Interleaving):
    strategy = "recreate"


def test_invariants_hold_in_some_interleavings(measured):
    measured(explored(Recreate, 40))


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_invariants_hold_in_every_interleaving_and_all_of_them_converge(measured):
    measured(explored(Recreate, 1100))
