import signal
from dataclasses import replace

import pytest

from tests.stubs.manifests import manifest, task
from tests.stubs.runs import promoted, rolled_back
from workflows.local.control import Control, Wish
from workflows.local.engine import Engine
from workflows.local.environment import Sources
from workflows.local.verbs.conduct import Interrupts


@pytest.fixture
def interrupts(tmp_path):
    return Interrupts(Engine(manifest({"a": task()}), tmp_path, Sources(config_maps={}, secrets={}, environ={})))


def after(interrupts, *signals):
    for number in signals:
        interrupts(number, None)
    return interrupts.engine._control.wish


@pytest.mark.parametrize(
    ("signals", "wish"),
    [
        ([signal.SIGINT], Wish.STOP),
        ([signal.SIGINT, signal.SIGTERM], Wish.TERMINATE),
        ([signal.SIGINT, signal.SIGINT, signal.SIGALRM], Wish.TERMINATE),
        ([signal.SIGHUP], Wish.STOP),
        ([signal.SIGHUP, signal.SIGHUP], Wish.STOP),  # the shell hands on what the terminal said
        ([signal.SIGALRM], Wish.STOP),
        ([signal.SIGALRM, signal.SIGINT], Wish.STOP),
    ],
)
def test_the_second_interrupt_by_a_person_ends_at_once(interrupts, signals, wish):
    assert after(interrupts, *signals) is wish


def test_a_run_that_is_out_of_time_is_stopped_for_that_reason_and_not_for_a_later_one(interrupts):
    interrupts.timeout_seconds = 12.0
    after(interrupts, signal.SIGALRM, signal.SIGINT)
    assert interrupts.engine._control.reason == "stopped after 12 s, as --timeout says"


def test_a_person_who_interrupts_needs_no_reason(interrupts):
    interrupts.timeout_seconds = 12.0
    after(interrupts, signal.SIGINT, signal.SIGALRM)
    assert interrupts.engine._control.reason == ""


def test_a_wish_is_told_once_and_by_who_hears_it_not_by_who_has_it():
    told: list[Wish] = []
    control = Control(told.append)
    control.hear()
    control.wish = Wish.STOP
    assert told == []
    assert [control.hear(), control.hear()] == [Wish.STOP, Wish.STOP]
    assert told == [Wish.STOP]


def test_the_last_words_say_what_kept_the_run_from_succeeding(interrupts):
    after(interrupts, signal.SIGALRM)
    assert interrupts.preface(rolled_back()) == "timed out: "
    after(interrupts, signal.SIGINT)
    assert interrupts.preface(rolled_back()) == "interrupted: "
    assert interrupts.preface(replace(promoted(), phase="Succeeded")) == ""
