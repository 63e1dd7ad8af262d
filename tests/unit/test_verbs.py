"""What history, allow, rollback and stop decide."""

import json
from dataclasses import replace

import pytest

from steps.core.names import Layout
from steps.core.record import Record
from steps.errors import Conflict, Missing, Refused
from steps.ports.serving import Held
from tests.stubs.exploring import Promotion
from tests.stubs.kube_scene import KubeScene
from tests.stubs.runs import past
from tests.stubs.scene import Scene, make_release
from tests.stubs.store import FakeStore
from workflows.allow import lift
from workflows.audit import served
from workflows.history import line, read
from workflows.rollback import parameters, require_known, target

LAYOUT = Layout("team")
GONE, KEPT = "c" * 12, "d" * 12


def recorded(**runs):
    store = FakeStore()
    for time, run in runs.items():
        deployment = "chat" if "chat" in run else "code"
        store.put(LAYOUT.history(deployment, time, run), past(run).dump())
    return store


def test_the_history_of_all_deployments_is_one_with_the_newest_first():
    store = recorded(t1="chat-1", t3="chat-3", t2="code-2")
    assert [e.run for e in read(store, LAYOUT, ["chat", "code"], 10)] == ["chat-3", "code-2", "chat-1"]
    assert [e.run for e in read(store, LAYOUT, ["chat"], 1)] == ["chat-3"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
def test_a_damaged_entry_is_left_out(body):
    store = recorded(t1="chat-1")
    store.put(LAYOUT.history("chat", "t2", "chat-2"), body)
    assert [e.run for e in read(store, LAYOUT, ["chat"], 10)] == ["chat-1"]


def test_what_a_later_program_adds_to_an_entry_is_passed_over():
    store = FakeStore()
    body = json.dumps({**past("chat-1").to_json(), "new": 1}).encode()
    store.put(LAYOUT.history("chat", "t", "chat-1"), body)
    assert read(store, LAYOUT, ["chat"], 1) == [past("chat-1")]


def test_an_entry_is_told_in_a_line_with_its_reason_below():
    ended = {"at": "2026-11-22T03:04:05Z", "outcome": "rolled-back", "message": "Failed: banana"}
    told = line(past("x", **ended, commit="a" * 40, release_id=GONE, outage_seconds=42.0))
    assert told == (
        f"2026-11-22T03:04:05Z  chat  rolled-back          org/chat at aaaaaaaaaaaa  release {GONE}  outage 42 s\n"
        "    Failed: banana"
    )


def test_a_rollback_by_hand_is_called_so_though_its_outcome_is_that_of_a_promotion():
    by_hand = past("rollback-1", at="2026-11-22T03:04:05Z", outcome="promoted", by_hand=True)
    assert "  rolled back by hand  " in line(by_hand)
    assert "  rolled-back  " in line(replace(by_hand, outcome="rolled-back"))
    assert (by_hand.to_json()["outcome"], by_hand.to_json()["by_hand"]) == ("promoted", True)


def test_an_entry_of_an_older_program_says_nothing_of_hands():
    store = FakeStore()
    body = {key: value for key, value in past("chat-1").to_json().items() if key != "by_hand"}
    store.put(LAYOUT.history("chat", "t", "chat-1"), json.dumps(body).encode())
    assert read(store, LAYOUT, ["chat"], 1) == [past("chat-1")]


def test_a_run_that_ended_before_anything_was_known_is_told_as_such():
    told = line(past("x", at="2026-11-22T03:04:05Z", outcome="refused"))
    assert told == "2026-11-22T03:04:05Z  chat  refused              org/chat at no commit  release unknown"


def held(**record):
    scene = Scene()
    scene.live(make_release("a"))
    scene.with_record(**record)
    return scene


def test_allowing_takes_one_release_off_the_list_and_changes_nothing_else():
    scene = held(refused=(GONE, KEPT))
    before = scene.record
    lift(scene.serving, "chat", GONE)
    assert scene.record.refused == (KEPT,)
    assert scene.record == Record(**{**before.to_json(), "refused": (KEPT,)})


def test_allowing_what_is_not_refused_is_told_with_what_is():
    with pytest.raises(Missing, match=f"nothing to allow; refused: {KEPT}"):
        lift(held(refused=(KEPT,)).serving, "chat", GONE)
    with pytest.raises(Missing, match="refused: none is"):
        lift(held().serving, "chat", GONE)


def test_allowing_never_overwrites_what_somebody_else_just_wrote():
    scene = held(refused=(GONE,))
    scene.serving.disturb = lambda moment: scene.with_record(refused=(GONE, KEPT)) if "before" in moment else None
    with pytest.raises(Conflict):
        lift(scene.serving, "chat", GONE)
    assert scene.record.refused == (GONE, KEPT)


def test_nothing_is_allowed_while_a_run_is_at_work_for_that_would_end_it():
    scene = held(refused=(GONE,), phase="swapping", candidate=KEPT, owner="run-1")
    scene.serving.called["run-1"] = "promote-x"
    before = scene.record
    with pytest.raises(Conflict, match=r"run promote-x is at work on chat \(swapping\).*allow it when that has ended"):
        lift(scene.serving, "chat", GONE)
    assert scene.record == before


def test_a_promotion_in_flight_survives_that_somebody_allows_another_release():
    old, new, bad = (make_release(mark) for mark in "123")
    scene = KubeScene(faults={bad.release_id: "empty-text"})
    scene.publish(new, bad)
    scene.live(old)
    Promotion(scene, bad).whole()
    promotion = Promotion(scene, new)

    def allowed(call):
        if scene.record.phase == "swapping" and scene.workloads.get(new.release_id):
            with pytest.raises(Conflict, match="allow it when that has ended"):
                lift(scene.hand().stage.serving, "chat", bad.release_id)

    promotion.go(allowed)
    assert scene.serves(new)
    lift(scene.hand().stage.serving, "chat", bad.release_id)
    assert scene.record.refused == ()


def test_a_rollback_goes_to_the_previous_release_or_to_the_one_that_is_named():
    at = Held(Record(live="a" * 12, previous=GONE), "1", "a" * 12)
    assert target(at, "chat", None, "") == GONE
    assert target(at, "chat", KEPT, "") == KEPT


def test_a_rollback_to_what_is_live_has_nothing_to_do():
    assert target(Held(Record(live=GONE), "1", GONE), "chat", GONE, "") is None


def test_a_rollback_without_a_previous_release_says_where_to_find_one():
    with pytest.raises(
        Missing, match=r"no previous release; .* -m workflows\.history --deployment chat --local` lists them"
    ):
        target(Held(Record(), "0", None), "chat", None, "--local")


@pytest.mark.parametrize("to", [None, GONE])
def test_a_rollback_to_what_is_refused_is_refused_before_it_begins_and_says_what_to_type(to):
    held = Held(Record(live="a" * 12, previous=GONE, refused=(GONE,)), "1", "a" * 12)
    with pytest.raises(Refused) as told:
        target(held, "chat", to, "--local")
    what = f"release {GONE} of chat" if to else f"the previous release of chat, {GONE},"
    assert str(told.value).startswith(f"{what} is refused: it failed its test, or was rolled back by hand; ")
    assert f"-m workflows.allow --deployment chat --release {GONE} --local` lets it be tried again" in str(told.value)
    assert "-m workflows.history --deployment chat --local` lists others for --to" in str(told.value)
    assert target(held, "chat", KEPT, "") == KEPT


def test_a_rollback_to_a_release_that_there_never_was_names_those_there_are():
    store, layout = FakeStore(), Layout("p")
    for deployment, release in (("chat", GONE), ("chat", KEPT), ("other", "e" * 12)):
        store.put(layout.release(deployment, release), b"{}")
    with pytest.raises(Missing) as told:
        require_known(store, layout, "chat", "deadbeef0000", "--local")
    assert str(told.value).startswith(f"there is no release deadbeef0000 of chat; there are: {GONE}, {KEPT}; `")
    assert str(told.value).endswith("-m workflows.history --deployment chat --local` tells of each; give one with --to")
    require_known(store, layout, "chat", KEPT, "")


def test_a_rollback_is_given_what_identifies_the_bytes():
    release = make_release("a")
    assert parameters(release, "b" * 12) == {
        "model": "org/tiny",
        "commit": "a" * 40,
        "manifest_sha256": release.manifest_sha256,
        "release_id": release.release_id,
        "deployment": "chat",
        "served": "b" * 12,
    }
    assert parameters(release, None)["served"] == ""


def test_an_audit_is_of_what_serves_and_of_what_can_be_gone_back_to_each_commit_once():
    live, previous, candidate = (make_release(mark) for mark in "abc")
    scene, again = Scene(), Scene()
    for each in (scene, again):
        for release in (previous, candidate, live):
            each.live(release)
        each.with_record(previous=previous.release_id, candidate=candidate.release_id, phase="testing")

    found = served([scene.serving, again.serving, Scene().serving])

    wanted = [(release.model, release.commit, release.manifest_sha256) for release in (live, previous)]
    assert [(s.model, s.commit, s.manifest_sha256) for s in found] == wanted
