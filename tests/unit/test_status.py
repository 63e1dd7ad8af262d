import json
from dataclasses import replace

import pytest

from steps.core.account import Named
from steps.core.record import Record
from steps.errors import Conflict, Corrupt, Denied, Transient
from steps.ports.serving import Held
from tests.stubs.scene import Scene, make_release
from tests.stubs.serving import FakeServing
from workflows.command import NotSubmitted
from workflows.status import look, never_promoted, read, text

OLD, NEW = make_release("a"), make_release("b")


def named(release):
    return {"release_id": release.release_id, "model": release.model, "commit": release.commit}


def serving(**record):
    scene = Scene()
    scene.live(OLD)
    scene.with_record(**record)
    return scene.serving


def row(status, label):
    return [line.split(None, 1)[1] for line in text(status, "--local").splitlines() if line.strip().startswith(label)]


def test_a_status_has_the_keys_of_the_design_and_no_others():
    status = read("chat", serving(refused=("c" * 12,)))
    assert json.loads(json.dumps(status.to_json())) == {
        "deployment": "chat",
        "url": "http://endpoint",
        "phase": "idle",
        "live": named(OLD),
        "previous": None,
        "candidate": None,
        "refused": ["c" * 12],
    }


def test_a_deployment_that_was_never_promoted_is_all_null():
    assert never_promoted("chat").to_json() == {
        "deployment": "chat",
        "url": None,
        "phase": "idle",
        "live": None,
        "previous": None,
        "candidate": None,
        "refused": [],
    }


def test_a_release_that_serving_has_lost_keeps_its_id():
    lost = FakeServing(held=Held(Record(live="c" * 12), "1", None))
    assert read("chat", lost).to_json()["live"] == {"release_id": "c" * 12, "model": None, "commit": None}


def test_people_see_the_health_of_what_is_live():
    place = serving()
    assert row(read("chat", place), "live")[0].endswith(f"(release {OLD.release_id}), 1 of 1 pods ready")
    place.crash(OLD.release_id)
    assert "NOT READY: the next promotion of the same model starts it again" in row(read("chat", place), "live")[0]


def test_servers_that_no_record_names_are_told_of():
    place = serving()
    place.held = Held(Record(), "0", None)
    status = read("chat", place)
    assert row(status, "runs") == [
        f"release {OLD.release_id}, which no record names: the next promotion to chat ends it"
    ]
    assert row(read("chat", serving()), "runs") == []


def test_people_see_who_is_at_work_and_whether_they_live():
    place = serving(phase="testing", candidate=NEW.release_id, owner="promote-x")
    place.owners.add("promote-x")
    assert row(read("chat", place), "phase") == ["testing, by run promote-x"]
    place.owners.clear()
    now = "-m workflows.reconcile --deployment chat --local` does so now"
    said = "which is DEAD: the next promotion of this deployment first brings back what served; `"
    assert said in row(read("chat", place), "phase")[0]
    assert row(read("chat", place), "phase")[0].endswith(now)
    place.held = replace(place.held, record=replace(place.held.record, phase="draining"))
    said = "which is DEAD: the next promotion of this deployment first completes it; `"
    assert said in row(read("chat", place), "phase")[0]
    assert row(read("chat", place), "phase")[0].endswith(now)
    assert "--local" not in text(read("chat", place), "")
    assert row(read("chat", place), "candidate") == [f"files unknown  (release {NEW.release_id})"]


def test_people_see_the_name_by_which_a_run_is_stopped_where_it_has_another_in_the_record():
    place = serving(phase="swapping", candidate=NEW.release_id, owner="uid-9")
    place.owners.add("uid-9")
    place.called["uid-9"] = "promote-x"
    place.crash(OLD.release_id)
    assert row(read("chat", place), "phase") == ["swapping, by run promote-x"]
    assert row(read("chat", place), "live")[0].endswith("while run promote-x is at work")


def test_a_model_that_was_stopped_to_make_room_is_not_said_to_need_a_promotion():
    place = serving(phase="swapping", candidate=NEW.release_id, owner="promote-x")
    place.crash(OLD.release_id)
    place.owners.add("promote-x")
    assert row(read("chat", place), "live")[0].endswith(", no pod ready while run promote-x is at work")
    place.owners.clear()
    assert row(read("chat", place), "live")[0].endswith(", NOT READY")


@pytest.mark.parametrize("err", [Corrupt("the record is no JSON"), Conflict("Service chat is not ours")])
def test_one_that_cannot_be_read_hides_no_other(err):
    def connect(deployment):
        if deployment == "chat":
            raise err
        return serving()

    lost, other = look("chat", connect), look("embed", connect)
    assert text(lost, "") == f"chat  CANNOT BE READ: {err}"
    assert lost.to_json() == {"deployment": "chat", "error": str(err)}
    assert row(other, "live")


@pytest.mark.parametrize("err", [Transient("away"), Denied("renew the login")])
def test_where_nobody_can_be_asked_none_is_shown(err):
    def connect(_deployment):
        raise err

    with pytest.raises(NotSubmitted, match=f"could not ask: {err}"):
        look("chat", connect)


def test_people_see_that_there_is_no_way_back_to_a_previous_release_that_is_refused():
    status = read("chat", serving(previous=NEW.release_id, refused=(NEW.release_id,)))
    assert row(status, "previous") == [f"files unknown  (release {NEW.release_id}), refused"]
    assert not row(read("chat", serving(previous=NEW.release_id)), "previous")[0].endswith("refused")


def test_people_see_how_to_allow_what_is_refused():
    refused = "c" * 12
    status = read("chat", serving(refused=(refused,)))
    assert f"workflows.allow --deployment chat --release {refused} --local)" in text(status, "--local")
    assert f"workflows.allow --deployment chat --release {refused})" in text(status, "")


def test_nothing_live_is_said_plainly():
    status = replace(never_promoted("chat"), previous=Named(release_id="d" * 12, model="org/x", commit="e" * 40))
    assert row(status, "live") == ["none"]
    assert row(status, "previous") == [f"org/x at {'e' * 40}  (release {'d' * 12})"]


def test_people_see_what_somebody_has_changed_by_hand():
    found = serving()
    found.meddling = {None: ("the selector was moved by kubectl",), OLD.release_id: ("replicas were changed by jo",)}
    assert row(read("chat", found), "changed") == ["the selector was moved by kubectl", "replicas were changed by jo"]
    assert row(read("chat", serving()), "changed") == []
