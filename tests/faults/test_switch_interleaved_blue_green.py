"""Promotions, crashes, stops, reconcilers, people in any order, with blue-green: see ``tests.stubs.interleaving``."""

import pytest

from tests.stubs.interleaving import Interleaving, explored


class BlueGreen(Interleaving):
    strategy = "blue-green"


def test_invariants_hold_in_some_interleavings(measured):
    measured(explored(BlueGreen, 40))


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_invariants_hold_in_every_interleaving_and_all_of_them_converge(measured):
    measured(explored(BlueGreen, 1100))
