from dataclasses import replace
from typing import Any

import pytest

from steps import resolve
from steps.contracts import ResolveInputs
from steps.core.catalog import Catalog, Entry
from steps.core.release import Release
from steps.errors import BadInput, Conflict, Missing, NoSpace, Refused
from steps.settings import from_environment
from tests.stubs.hub import FakeHub
from tests.stubs.runs import past
from tests.stubs.scene import Scene, make_release
from tests.stubs.weights import safetensors
from workflows.asked import Asked
from workflows.plan import Hop, Outage, Plan, text
from workflows.survey import Landscape, draw_up

OLD = make_release("a")
FILES = {"config.json": b"{}", "model.safetensors": safetensors({"w": b"1234"}), "model.bin": b"x" * 100}


class Desk:
    """The scene of the serving steps, with a Hub that has one model."""

    def __init__(self):
        self.scene, self.hub = Scene(), FakeHub()
        self.commit = self.hub.publish("org/tiny", FILES)
        self.entry = Entry(model="org/tiny")

    def plan(self, revision="main", *, outside: bool = False) -> Plan:
        """``outside`` of the cluster, where the volume cannot be looked at."""
        settings = from_environment({"VLLM_PROMOTE_PREFIX": self.scene.layout.prefix, "VLLM_PROMOTE_DEVICE": "cpu"})
        around = Landscape(
            hub=self.hub,
            store=self.scene.store,
            volume=None if outside else self.scene.volume,
            stage=self.scene.stage,
            catalog=Catalog(deployments={"chat": self.entry}),
            settings=settings,
        )
        asked = Asked(model="org/tiny", revision=revision, deployment="chat", entry=self.entry)
        return draw_up(asked, around)

    def promoted(self) -> Release:
        """What the plan speaks of, as it is when it serves."""
        release = self.plan().release
        self.scene.serving.held = replace(self.scene.serving.held, record=replace(self.scene.record, owner="earlier"))
        self.scene.serving.ensure(release, 1, "earlier")
        self.scene.serving.pods(release.release_id)
        self.scene.with_record(owner=None, live=release.release_id)
        self.scene.serving.held = replace(self.scene.serving.held, target=release.release_id)
        return release

    def remember(self, time: str, **known: Any) -> None:
        entry = past(time, at=time, **{"outcome": "promoted", **known})
        self.scene.store.put(self.scene.layout.history("chat", time, time), entry.dump())


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def serving(desk):
    """With another model live."""
    desk.scene.live(OLD)
    return desk


def test_a_first_promotion_moves_every_byte_and_costs_nobody_anything(desk):
    plan = desk.plan()
    size = len(FILES["config.json"]) + len(FILES["model.safetensors"])
    assert (plan.to_store, plan.to_volume, plan.in_one_pass) == (Hop(size, 0), Hop(size, 0), size)
    assert (plan.live, plan.url, plan.outage) == (None, "", Outage(0.0, "nothing serves yet"))
    assert (plan.files, plan.left_behind, plan.release.commit) == (2, ("model.bin",), desk.commit)


def test_a_plan_writes_nothing(serving):
    serving.remember("t1", outage_seconds=7.0)
    before = (dict(serving.scene.store.objects), serving.scene.serving.held)
    serving.plan()
    assert (serving.scene.store.objects, serving.scene.serving.held) == before
    assert serving.scene.serving.calls == []


def test_what_others_did_and_a_way_back_are_noted_in_the_plan(serving):
    live = serving.scene.serving
    live.meddling = {live.held.record.live: ("replicas of it were changed from 1 to 3 by kubectl",)}
    assert serving.plan().noticed == ("replicas of it were changed from 1 to 3 by kubectl",)
    assert "  note             replicas of it were changed from 1 to 3 by kubectl\n" in text(serving.plan())
    live._specs[live.held.record.live] = replace(live.release(live.held.record.live), committed=2e9)
    assert serving.plan().noticed[1].startswith("this goes back: commit ")


def test_an_upgrade_names_what_serves(serving):
    plan = serving.plan()
    assert plan.live is not None
    assert (plan.live.release_id, plan.state, plan.url) == (OLD.release_id, "new", "http://endpoint")


@pytest.mark.parametrize("outside", [True, False])
def test_a_claim_that_is_not_the_one_that_serves_is_no_plan(serving, outside):
    serving.scene.serving.away[OLD.release_id] = "Deployment reads claim old"
    with pytest.raises(BadInput, match="has its models elsewhere: Deployment reads claim old"):
        serving.plan(outside=outside)
    serving.scene.serving.away.clear()
    assert serving.plan(outside=outside).state == "new"


def first_manifest(desk):
    inputs = ResolveInputs(model="org/tiny", revision="main", deployment="chat")
    settings = from_environment({"VLLM_PROMOTE_DEVICE": "cpu"})
    return resolve.plan(inputs, desk.hub, desk.scene.store, Catalog(), settings).document.manifest


def test_bytes_that_are_there_already_are_not_moved_again(serving):
    first = serving.plan()
    manifest = first_manifest(serving)
    for file in manifest.files:
        key = serving.scene.layout.model_file("org/tiny", serving.commit, file.path)
        serving.scene.store.put(key, FILES[file.path])
    serving.scene.store.put(serving.scene.layout.manifest("org/tiny", serving.commit), manifest.dump())
    serving.scene.volume.manifests[serving.commit] = manifest
    plan = serving.plan()
    total = first.release.total_bytes
    assert (plan.to_store, plan.to_volume, plan.in_one_pass) == (Hop(0, total), Hop(0, total), 0)


def test_what_is_live_and_healthy_needs_nothing_and_asks_for_no_room(desk):
    desk.promoted()
    desk.scene.serving.room = NoSpace("no GPU")
    plan = desk.plan()
    assert (plan.state, plan.outage.seconds) == ("live", 0.0)
    assert "already live" in text(plan)


def test_what_is_live_and_not_healthy_would_be_repaired(desk):
    desk.scene.serving.crash(desk.promoted().release_id)
    assert desk.plan().state == "repair"


def test_the_outage_is_that_of_the_last_promotion(serving):
    serving.remember("t1", outage_seconds=30.0)
    serving.remember("t2", outage_seconds=40.0)
    serving.remember("t3", outage_seconds=0.0)
    serving.remember("t4", outage_seconds=90.0, outcome="rolled-back")
    assert serving.plan().outage == Outage(40.0, "as in the promotion of t2")


def test_without_an_upgrade_on_record_the_last_start_up_is_the_measure(serving):
    serving.remember("t1", outage_seconds=0.0, startup_seconds=25.0)
    assert serving.plan().outage == Outage(25.0, "as long as the last start-up took")


def test_without_anything_on_record_the_budget_is_the_measure_and_said_to_be(serving):
    assert serving.plan().outage == Outage(900.0, "at the longest: no promotion to go by is on record")


def test_blue_green_has_no_outage(serving):
    serving.entry = Entry(model="org/tiny", strategy="blue-green")
    assert serving.plan().outage == Outage(0.0, "the old release serves until the new one does")


def test_a_living_run_in_the_way_is_the_reason_for_a_refusal(serving):
    serving.scene.with_record(phase="testing", candidate="c" * 12, owner="promote-x")
    serving.scene.serving.owners.add("promote-x")
    with pytest.raises(Conflict, match="promote-x"):
        serving.plan()


def test_a_dead_runs_work_is_said_to_be_put_right_first(serving):
    serving.scene.with_record(phase="testing", candidate="c" * 12, owner="promote-x")
    plan = serving.plan()
    assert plan.unfinished == "promote-x"
    assert "first of all     what run promote-x left unfinished is put right" in text(plan)


def test_a_refused_release_is_refused_in_the_plan_too(serving):
    serving.scene.with_record(refused=(serving.plan().release.release_id,))
    with pytest.raises(Refused, match=r"workflows\.allow"):
        serving.plan()


def test_what_preflight_would_find_is_found(serving):
    serving.scene.volume.free = 10
    with pytest.raises(NoSpace):
        serving.plan()
    serving.scene.volume.free = 10**9
    serving.scene.store.writable = False
    with pytest.raises(Missing):
        serving.plan()


def test_what_resolve_would_refuse_is_refused(desk):
    desk.hub.publish("org/tiny", {"config.json": b"{}", "model.bin": b"x"}, "pickles")
    with pytest.raises(Refused, match="safetensors"):
        desk.plan("pickles")
