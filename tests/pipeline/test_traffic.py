"""Clients all the while: what a promotion and a rollback cost them on one machine, and what they are told of it."""

import pytest

from tests.stubs.clients import IMPATIENT_SECONDS, PATIENT_SECONDS, Clients, LongReaders
from tests.stubs.proxy import METHODS, proxy
from tests.stubs.world import World

LONG_SECONDS = 2.0
SLACK_SECONDS = 1.0
"""Between what clients see and what is told: how often they ask, and what a start of the command takes on top."""
RECREATE = "recreate"
BLUE_GREEN = pytest.param("blue-green", marks=pytest.mark.exhaustive)


@pytest.fixture(params=[RECREATE, BLUE_GREEN])
def strategy(request, served: World):
    served.catalog(strategy=request.param)
    yield request.param
    served.catalog()


def clients(served: World, strategy: str) -> Clients:
    return Clients(served.chat, IMPATIENT_SECONDS if strategy == RECREATE else PATIENT_SECONDS)


def check(served: World, seen: Clients, strategy: str, text: str) -> None:
    """What clients missed is what the command printed, the report holds and the history keeps; beside it, nothing."""
    told = served.history()[0]["outage_seconds"]
    if strategy != RECREATE:
        assert seen.failures == []
        assert told == 0
        assert "clients had no answer" not in text
        return
    assert seen.failures
    assert seen.outage_seconds == pytest.approx(told, abs=SLACK_SECONDS)
    assert "clients had no answer for" in text


def directory(served: World, commit: str) -> str:
    return str(served.volume / served.slug / commit)


def test_an_upgrade_is_measured_told_and_kept_and_cuts_no_answer_off(served: World, strategy: str):
    old, new = served.live().root, served.publish(seed=11 + len(strategy))

    with clients(served, strategy) as seen, LongReaders(served.chat, LONG_SECONDS) as readers:
        ended = served.promote()

    assert ended.code == 0, ended.text
    assert seen.roots == [old, directory(served, new)]
    check(served, seen, strategy, ended.text)
    assert served.machine.report(ended)["outage_seconds"] == served.history()[0]["outage_seconds"]
    across = readers.across(seen.changed_at())
    assert [h for h in across if old.endswith(h.commit)], "none was being answered when the old one was stopped"
    assert readers.cut_off == []


@pytest.mark.exhaustive
def test_a_candidate_that_fails_is_taken_back_and_clients_hear_of_nobody_else(served: World, strategy: str):
    old = served.live()
    served.publish("bad", seed=21 + len(strategy), fault="degenerate")

    with clients(served, strategy) as seen, LongReaders(served.chat, LONG_SECONDS) as readers:
        ended = served.promote("bad")

    assert ended.code == 1, ended.text
    assert served.live().release_id == old.release_id
    assert seen.roots == [old.root]
    assert served.history()[0]["outcome"] == "rolled-back"
    check(served, seen, strategy, ended.text)
    assert readers.cut_off == []


@pytest.mark.exhaustive
def test_a_rollback_by_hand_is_measured_told_and_kept_too(served: World, strategy: str):
    first, second = (served.publish(seed=seed) for seed in (31 + len(strategy), 51 + len(strategy)))
    assert served.promote(first).code == 0
    assert served.promote().code == 0

    with clients(served, strategy) as seen, LongReaders(served.chat, LONG_SECONDS) as readers:
        back = served.machine.run("rollback", "--local", "--deployment", served.deployment)

    assert back.code == 0, back.text
    assert seen.roots == [directory(served, second), directory(served, first)]
    check(served, seen, strategy, back.text)
    assert readers.cut_off == []


@pytest.mark.exhaustive
def test_more_replicas_of_what_serves_are_tried_and_download_nothing(served: World):
    before = directory(served, served.publish(seed=71))
    assert served.promote().code == 0
    served.catalog(replicas=2)
    asked: list[str] = []

    def heard(data: bytes) -> bytes:
        if data.startswith(METHODS):
            asked.append(data.partition(b"\r\n")[0].decode())
        return data

    with proxy(served.s3.endpoint) as store, Clients(served.chat, PATIENT_SECONDS) as seen:
        store.up = heard
        earlier = len(served.hub.seen)
        ended = served.promote(AWS_ENDPOINT_URL=store.endpoint)

    served.catalog()
    assert ended.code == 0, ended.text
    assert len(served.server_pids()) == 2
    assert seen.failures == []
    assert seen.roots == [before]
    assert asked, "the store was asked another way"
    assert [a for a in asked if a.startswith("GET ") and f"/{served.prefix}/models/" in a] == []
    assert [r.target for r in served.hub.seen[earlier:] if r.kind == "download"] == []
