import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from steps.contracts import ReportInputs
from steps.core import canonical
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.release import Release, Serving
from steps.entry import flag
from steps.errors import Conflict, Missing, NoSpace, Transient
from steps.ports.serving import Held
from steps.report import Outside, look, report
from tests.stubs.runs import COMMIT, NEW, OLD, RESOLVED, done, failed, on_exit, promoted, resolved, rolled_back, run
from tests.stubs.scene import Scene, make_release
from tests.stubs.serving import FakeServing
from tests.stubs.store import FakeStore

INPUTS = ReportInputs(
    model="org/chat",
    revision="main",
    deployment="chat",
    run="promote-20261122-030405-ab12",
    owner="uid-1",
    status="Succeeded",
    rollback_status="Skipped",
)
LAYOUT = Layout("team")
ROOT = Path(__file__).parents[2]


class Shelf:
    def __init__(self):
        self.files = {}

    def put(self, run, name, body):
        self.files[name] = body


class Journal:
    def __init__(self, run):
        self._run = run

    def run(self, name):
        return self._run


class FullShelf(Shelf):
    def put(self, run, name, body):
        raise NoSpace("the disk is full")


class World:
    """A run, a record, a store and a shelf; ``serving`` and ``store`` raise when they hold an error."""

    def __init__(self, run, record, store=None, serving=None, shelf=None):
        self.journal = Journal(run)
        self.store = store or FakeStore()
        self.serving = serving or FakeServing(held=Held(record, "1", record.live))
        self.shelf = shelf or Shelf()

    def report(self):
        outside = Outside(
            journal=lambda: self.journal,
            serving=lambda _deployment: give(self.serving),
            store=lambda: give(self.store),
            layout=LAYOUT,
            bucket="models",
            shelf=self.shelf,
            flag="--local",
        )
        return report(INPUTS, outside)

    def on_shelf(self):
        return json.loads(self.shelf.files["report.json"])


def give(thing):
    if isinstance(thing, Exception):
        raise thing
    return thing


def live_run():
    return run(resolved(), done("preflight", state="live"))


def test_a_promotion_is_reported_to_the_machine_the_store_and_the_history():
    world = World(promoted(), Record(live=NEW.release_id))
    outputs = world.report()
    assert outputs.outcome == "promoted"
    key = LAYOUT.report(INPUTS.run, "report.json")
    assert world.store.objects[key] == world.shelf.files["report.json"]
    assert set(world.shelf.files) == {"report.json", "report.html"}
    [entry] = world.store.list(LAYOUT.history_prefix("chat"))
    assert entry.endswith(f"Z-{INPUTS.run}.json")


def test_a_run_that_found_its_release_live_leaves_the_store_alone():
    world = World(live_run(), Record(live=NEW.release_id), store=AssertionError("the store was asked for"))
    assert world.report().outcome == "live"
    assert world.on_shelf()["outcome"] == "live"


def test_the_evidence_of_the_smoke_test_is_in_the_report():
    world = World(promoted(), Record(live=NEW.release_id))
    world.store.put(LAYOUT.report(INPUTS.run, "smoke.json"), canonical.dump({"result": "pass"}))
    world.report()
    assert world.on_shelf()["evidence"] == {"result": "pass"}


def rolled_back_world(store=None):
    return World(rolled_back(), Record(live=OLD.release_id), store=store)


def test_what_the_model_server_said_is_named_where_it_was_kept():
    world, key = rolled_back_world(), LAYOUT.report(INPUTS.run, f"server-{NEW.release_id}.log")
    world.store.put(key, b"CUDA error")
    world.store.put(LAYOUT.report(INPUTS.run, "smoke.json"), canonical.dump({"result": "fail"}))
    assert world.report().summary.endswith(f"what its model server said is kept at {key}")
    assert world.on_shelf()["evidence"] == {"result": "fail", "server_log": key}
    page = world.shelf.files["report.html"].decode()
    assert f"<dd>s3://models/{key}</dd>" in page
    assert "<pre>CUDA error</pre>" in page


def test_a_page_that_cannot_be_made_is_noted_and_costs_nothing_but_the_page(monkeypatch):
    def broken(_account):
        raise KeyError("colour")

    monkeypatch.setattr("steps.report.render", broken)
    world = World(promoted(), Record(live=NEW.release_id))
    assert "the report lacks something: a bug (KeyError)" in world.report().summary
    assert set(world.shelf.files) == {"report.json"}
    assert LAYOUT.report(INPUTS.run, "report.json") in world.store.objects


def test_nothing_is_said_of_a_log_that_was_not_kept_or_is_of_a_model_that_serves():
    good = World(promoted(), Record(live=NEW.release_id))
    good.store.put(LAYOUT.report(INPUTS.run, f"server-{NEW.release_id}.log"), b"of an earlier try")
    for world in (good, rolled_back_world()):
        assert "model server said" not in world.report().summary


def test_evidence_that_json_cannot_repeat_costs_the_page_and_the_history_nothing():
    world = World(promoted(), Record(live=NEW.release_id))
    world.store.put(LAYOUT.report(INPUTS.run, "smoke.json"), b'{"result": ["fail"], "tokens_per_second": NaN}')
    assert "the report lacks something: a bug (ValueError)" in world.report().summary
    assert set(world.shelf.files) == {"report.html"}
    assert world.store.list(LAYOUT.history_prefix("chat"))


@pytest.mark.parametrize("body", [None, b"{"])
def test_missing_or_damaged_evidence_does_not_keep_the_report_from_being_written(body):
    world = World(promoted(), Record(live=NEW.release_id))
    if body:
        world.store.put(LAYOUT.report(INPUTS.run, "smoke.json"), body)
    world.report()
    assert world.on_shelf()["evidence"] is None


def test_a_store_that_cannot_be_reached_is_noted_and_the_local_report_is_written():
    gone = Missing("bucket models is not there; create it")
    world = World(run(failed("resolve", 12, "Missing: no bucket"), phase="Failed"), Record(), store=gone)
    outputs = world.report()
    assert outputs.outcome == "failed"
    assert "the report lacks something: bucket models is not there; create it" in outputs.summary
    assert world.on_shelf()["outcome"] == "failed"


def test_a_read_only_store_is_noted():
    closed = FakeStore(writable=False)
    world = World(run(failed("preflight", 12, "Missing: read-only"), phase="Failed"), Record(), store=closed)
    assert "closed to write" in world.report().summary


def test_a_bug_on_the_way_is_noted_and_the_report_is_written_all_the_same():
    """What an adapter did not foresee: a journal that may not be read, a code that boto3 has never sent."""
    world = World(
        promoted(), Record(live=NEW.release_id), store=KeyError("UploadId"), serving=PermissionError("run.json")
    )
    outputs = world.report()
    assert "a bug (PermissionError)" in outputs.summary
    assert "a bug (KeyError)" in outputs.summary
    assert world.on_shelf()["run"] == INPUTS.run


@pytest.mark.parametrize(("name", "value"), [("VLLM_PROMOTE_DEVICE", "gpu"), ("VLLM_PROMOTE_SERVING", "nowhere")])
def test_settings_that_cannot_work_leave_a_summary_and_exit_0(tmp_path, name, value):
    environ = {"VLLM_PROMOTE_OUTPUT_DIR": str(tmp_path), name: value}
    argv = [f"{flag(f.name)}={getattr(INPUTS, f.name)}" for f in fields(INPUTS)]
    done = subprocess.run(
        [sys.executable, "-m", "steps.report", *argv],
        cwd=ROOT,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"the report lacks something: BadInput: {name} is" in (tmp_path / "summary").read_text()


def test_a_full_disk_is_noted_and_the_store_still_gets_its_report():
    world = World(promoted(), Record(live=NEW.release_id), shelf=FullShelf())
    assert "the disk is full" in world.report().summary
    assert LAYOUT.report(INPUTS.run, "report.html") in world.store.objects


def test_a_record_that_is_not_ours_is_noted_and_not_guessed_at():
    not_ours = Conflict("Service chat is not ours")
    world = World(run(failed("resolve", 12, "Missing: x"), phase="Failed"), Record(), serving=not_ours)
    assert (
        "what serves now could not be read; the report lacks something: Service chat is not ours"
        in world.report().summary
    )


def test_a_run_that_the_engine_no_longer_knows_is_told_from_what_argo_said():
    world = World(None, Record(live=NEW.release_id))
    assert world.report().outcome == "promoted"


def test_the_deployment_that_resolve_chose_is_reported_not_the_empty_one_that_was_asked_for():
    chosen = run(resolved(), on_exit(failed("rollback", 17, "RollbackFailed: x")), deployment="")
    world = World(chosen, Record(live=NEW.release_id))
    world.report()
    assert world.on_shelf()["deployment"] == RESOLVED["deployment"]


def test_writing_the_report_twice_makes_one_entry_in_the_history():
    world = World(promoted(), Record(live=NEW.release_id))
    world.report()
    world.report()
    assert len(world.store.list(LAYOUT.history_prefix("chat"))) == 1


def test_releases_are_called_by_model_and_commit_where_serving_knows_them():
    world = World(run(failed("resolve", 12, "Missing: x"), phase="Failed"), Record())
    release = Release(
        deployment="chat",
        model="org/old",
        commit=COMMIT,
        manifest_sha256="0" * 64,
        total_bytes=1,
        serving=Serving(served_name="chat", image="", device="cpu", gpus=0, args=(), pod="{}"),
    )
    world.serving.held = Held(Record(phase="swapping", owner="me"), "1", None)
    world.serving.ensure(release, 1, "me")
    world.serving.held = Held(Record(live=release.release_id), "2", release.release_id)
    assert f"what served before (org/old at {COMMIT[:12]}) serves" in world.report().summary


def test_whether_what_is_live_answers_is_looked_at_and_no_report_waits_for_it(monkeypatch):
    scene = Scene()
    scene.live(make_release("1"))
    assert look(promoted(), scene.serving, "").answers is True
    scene.serving.crash(make_release("1").release_id)
    assert look(promoted(), scene.serving, "").answers is False

    def away(_release):
        raise Transient("the API server is away")

    monkeypatch.setattr(scene.serving, "pods", away)
    assert look(promoted(), scene.serving, "").answers is None


def test_a_release_that_was_put_into_service_by_the_run_before_was_repaired():
    first, again = World(promoted(), Record(live=NEW.release_id)), World(promoted(), Record(live=NEW.release_id))
    first.report()
    again.store.objects = {k.replace(INPUTS.run, "before"): v for k, v in first.store.objects.items()}
    again.store.objects = {k: v.replace(INPUTS.run.encode(), b"before") for k, v in again.store.objects.items()}

    assert again.report().summary.startswith("repaired; ")
    entries = [json.loads(again.store.objects[key]) for key in again.store.list(LAYOUT.history_prefix("chat"))]
    assert sorted((e["run"] == INPUTS.run, e["outcome"]) for e in entries) == [(False, "promoted"), (True, "repaired")]
    assert again.on_shelf()["outcome"] == "promoted"


def test_a_report_that_is_written_twice_calls_no_promotion_a_repair():
    world = World(promoted(), Record(live=NEW.release_id))
    assert world.report().summary == world.report().summary
    assert world.report().summary.startswith("promoted; ")
