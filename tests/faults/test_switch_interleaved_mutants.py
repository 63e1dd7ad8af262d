"""What looks at interleavings, looked at itself: products with one mistake each, and each of them is found."""

import logging
from collections.abc import Callable

import pytest

from steps import candidate, promote, recovery
from steps.clients.kube.record import ServiceRecord
from steps.clients.kube.workloads import Workloads
from steps.core import deployed, guards, rollout
from tests.stubs.interleaving import Interleaving, found

Patch = pytest.MonkeyPatch


def stops_what_serves_beside_its_candidate(patch: Patch) -> None:
    start = candidate._start

    def mutant(stage, held, release, owner):
        if held.record.live is not None:
            stage.serving.stop(held.record.live, owner)
        return start(stage, held, release, owner)

    patch.setattr(candidate, "_start", mutant)


def brings_nothing_back(patch: Patch) -> None:
    """As if nothing had been live; the record says it was."""
    patch.setattr(recovery, "_live", lambda *_, **__: None)


def ends_the_new_release_in_place_of_the_old(patch: Patch) -> None:
    def mutant(stage, held, owner):
        stage.serving.stop(held.record.live, owner)
        stage.serving.swap(held, rollout.drained(held.record, owner))

    patch.setattr(promote, "complete", mutant)
    patch.setattr(recovery, "complete", mutant)
    patch.setattr(guards, "check_change", lambda *_, **__: None)  # which would not let it


def sends_clients_to_pods_that_nobody_asked(patch: Patch) -> None:
    patch.setattr(promote, "_require_proof", lambda *_: None)


def writes_the_record_without_comparing(patch: Patch) -> None:
    def mutant(self, _held, record, target):
        service = self._service()
        return self._held(self._write(service, record, self._spec(service, self._held(service).target, target)))

    patch.setattr(ServiceRecord, "swap", mutant)


def asks_nobody_who_owns_the_record(patch: Patch) -> None:
    patch.setattr(Workloads, "_owned_by", lambda self, _owner: self.record.read())


def changes_a_deployment_on_no_condition(patch: Patch) -> None:
    patch.setattr(deployed, "note", lambda _found, said: {"metadata": {"annotations": {**said}}})


MUTANTS: dict[Callable[[Patch], None], str] = {
    stops_what_serves_beside_its_candidate: "blue-green",
    brings_nothing_back: "recreate",
    ends_the_new_release_in_place_of_the_old: "recreate",
    sends_clients_to_pods_that_nobody_asked: "recreate",
    writes_the_record_without_comparing: "recreate",
    asks_nobody_who_owns_the_record: "recreate",
    changes_a_deployment_on_no_condition: "recreate",
}


class Recreate(Interleaving):
    strategy = "recreate"


class BlueGreen(Interleaving):
    strategy = "blue-green"


@pytest.mark.exhaustive
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_product_with_one_mistake_is_found_by_the_interleavings(mutant, monkeypatch, measured):
    mutant(monkeypatch)
    monkeypatch.setattr(logging.root, "level", logging.CRITICAL)
    machine = BlueGreen if MUTANTS[mutant] == "blue-green" else Recreate
    measured(f"{mutant.__name__}: {found(machine, 500, tries=10)}")
