from dataclasses import dataclass, field, replace

import pytest

from steps.core import refresh as core
from steps.core.names import Layout
from steps.core.record import Record
from steps.core.refresh import FRESH_SECONDS, Findings, Found, Serves, command, decide, line, run_name, summary
from steps.errors import BadInput, Conflict, Corrupt, Missing
from steps.ports.runs import Unfinished
from steps.ports.serving import Held
from steps.refresh import Outside, read, refresh
from steps.scheduled import RefreshInputs
from tests.stubs.scene import FakeClock, make_release
from tests.stubs.serving import FakeServing
from tests.stubs.store import FakeStore

OLD, NEW = (make_release(mark) for mark in "12")
FOUND = Found(
    deployment="chat",
    model=NEW.model,
    revision="main",
    refresh="promote",
    commit=NEW.commit,
    release_id=NEW.release_id,
)
SERVES = Serves(record=Record(live=OLD.release_id), commit=OLD.commit)
LAYOUT = Layout("p")


def recorded(**fields):
    return replace(SERVES, record=replace(SERVES.record, **fields))


def test_a_branch_that_moved_is_promoted_where_the_entry_says_so():
    assert decide(FOUND, SERVES).kind == "promoted"


@pytest.mark.parametrize(
    ("found", "serves", "kind", "why"),
    [
        (FOUND, recorded(live=NEW.release_id), "live", "serves as release"),
        (FOUND, recorded(refused=(NEW.release_id,)), "refused", "python -m workflows.allow --deployment chat"),
        (replace(FOUND, refusal="no licence"), SERVES, "refused", "no licence"),
        (FOUND, recorded(phase="testing", candidate=NEW.release_id, owner="uid"), "in flight", "(owner uid) is at it"),
        (FOUND, recorded(phase="repairing", live=NEW.release_id, owner="uid"), "in flight", "workflows.status"),
        (FOUND, replace(SERVES, unfinished="night-1"), "in flight", "run night-1"),
        (replace(FOUND, refresh="propose"), SERVES, "proposed", f"{OLD.commit} serves"),
        (FOUND, Serves(record=Record()), "proposed", "nothing was promoted to this name yet"),
        (FOUND, replace(SERVES, commit=NEW.commit), "proposed", "in another way"),
        (FOUND, replace(SERVES, commit=None), "proposed", "not known any more"),
        (FOUND, recorded(previous=NEW.release_id), "proposed", "somebody has put release"),
        (
            replace(FOUND, committed=1e9),
            replace(SERVES, model=FOUND.model, committed=2e9),
            "proposed",
            "2033-05-18T03:33:20Z serves, which is newer than 2001-09-09T01:46:40Z: the branch was set back",
        ),
    ],
)
def test_all_else_is_left_to_a_person_or_left_alone(found, serves, kind, why):
    decision = decide(found, serves)

    assert decision.kind == kind
    assert why in decision.why


@pytest.mark.parametrize(
    ("committed", "serves"),
    [
        (2e9, replace(SERVES, model=FOUND.model, committed=1e9)),
        (0.0, replace(SERVES, model=FOUND.model, committed=1e9)),  # the Hub did not tell
        (1e9, replace(SERVES, model="org/another", committed=2e9)),
    ],
)
def test_a_branch_that_went_on_or_of_which_no_more_is_known_is_followed(committed, serves):
    assert decide(replace(FOUND, committed=committed), serves).kind == "promoted"


def test_a_refused_release_is_refused_whatever_else_is_true():
    assert decide(FOUND, replace(recorded(refused=(NEW.release_id,)), unfinished="x")).kind == "refused"
    assert decide(FOUND, recorded(refused=(NEW.release_id,), previous=NEW.release_id)).kind == "refused"


def test_what_was_looked_at_is_what_is_promoted_with_every_parameter_given():
    assert FOUND.parameters == {"model": "org/tiny", "revision": NEW.commit, "deployment": "chat"}
    assert command(FOUND, "--local") == (
        f"python -m workflows.promote --model org/tiny --revision {NEW.commit} --deployment chat --local"
    )


def test_a_proposal_comes_with_the_command_to_type():
    assert line(decide(replace(FOUND, refresh="propose"), SERVES), "").endswith(command(FOUND, ""))
    assert command(FOUND, "") not in line(decide(FOUND, SERVES), "")


def test_the_summary_names_what_a_person_may_want_to_look_at():
    proposed, live = decide(replace(FOUND, refresh="propose"), SERVES), decide(FOUND, recorded(live=NEW.release_id))

    assert summary([proposed, live, live]) == "proposed: chat; 2 up to date"
    assert summary([]) == "the catalog follows no branch"


def test_another_attempt_of_the_same_refresh_gives_the_same_name_another_night_another():
    longest = replace(FOUND, deployment="d" * 40)

    assert run_name(FOUND, "night-1") == run_name(FOUND, "night-1") != run_name(FOUND, "night-2")
    assert len(run_name(longest, "night-1")) <= 63


def test_what_discover_hands_over_is_read_as_it_was_written():
    found = (FOUND, replace(FOUND, deployment="b", commit="", release_id="", refusal="nö"))

    assert core.parse(core.dump(Findings(at=7, found=found)), "k") == Findings(at=7, found=found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"at":1,"version":2,"found":[]}',
        b'{"version":1,"found":[]}',
        b'{"at":1,"version":1,"found":[{"a":1}]}',
    ],
)
def test_what_is_something_else_is_told_from_it(body):
    with pytest.raises(Corrupt, match="k is not what discover writes"):
        core.parse(body, "k")


@dataclass
class FakeRuns:
    """``steps.ports.runs.Runs`` in memory."""

    running: dict[str, Unfinished] = field(default_factory=dict)
    begun: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    failure: Exception | None = None

    def unfinished(self):
        return self.running

    def promote(self, name, parameters, labels):
        if self.failure:
            raise self.failure
        if name in self.ended:
            return False
        self.begun[name] = dict(parameters)
        return True


@pytest.fixture
def runs():
    return FakeRuns()


def serving(*, live=OLD, **record):
    fake = FakeServing(held=Held(Record(owner="o"), "0", None))
    if live:
        fake.ensure(live, 1, "o")
    fake.held = Held(Record(live=live and live.release_id, **record), "1", None)
    return fake


def refreshed(found, runs, flag="", **servings):
    outside = Outside(serving=servings.__getitem__, runs=runs, flag=flag)
    return refresh(RefreshInputs(run="night-1"), found, outside).summary


def test_a_promotion_is_begun_at_the_commit_that_was_found(runs):
    assert refreshed([FOUND], runs, chat=serving()) == "promoted: chat"
    assert runs.begun == {run_name(FOUND, "night-1"): FOUND.parameters}


def test_a_proposal_begins_nothing(runs):
    assert refreshed([replace(FOUND, refresh="propose")], runs, chat=serving()) == "proposed: chat"
    assert runs.begun == {}


def test_what_waits_for_its_turn_is_not_begun_again(runs):
    runs.running = {"chat": Unfinished("night-0")}

    assert refreshed([FOUND], runs, chat=serving()) == "in flight: chat"
    assert runs.begun == {}


@pytest.mark.parametrize("found", [FOUND, replace(FOUND, release_id=OLD.release_id, commit=OLD.commit)])
def test_a_run_that_does_not_go_on_is_a_failure_every_night_and_keeps_no_other_from_its_turn(runs, found):
    runs.running = {"chat": Unfinished("night-0", "its step resolve has not started for 20 h: ErrImagePull: gone")}

    other = replace(FOUND, deployment="other")
    said = r"chat: run night-0 does not go on, its step resolve .*workflows\.stop --run night-0` ends it"
    with pytest.raises(Conflict, match=said):
        refreshed([found, other], runs, chat=serving(), other=serving())
    assert list(runs.begun.values()) == [other.parameters]


def test_a_refused_release_is_never_begun(runs):
    assert refreshed([FOUND], runs, chat=serving(refused=(NEW.release_id,))) == "refused: chat"
    assert refreshed([replace(FOUND, refusal="auto_map")], runs, chat=serving()) == "refused: chat"
    assert runs.begun == {}


def test_on_one_machine_everything_is_a_proposal(caplog):
    with caplog.at_level("INFO"):
        assert refreshed([FOUND], None, flag="--local", chat=serving()) == "proposed: chat"
    assert command(FOUND, "--local") in caplog.text


def test_a_record_that_cannot_be_read_keeps_no_other_from_its_turn(runs):
    class Foreign(FakeServing):
        def read(self):
            raise Conflict("not ours")

    other = replace(FOUND, deployment="other")
    with pytest.raises(Conflict, match="chat: not ours"):
        refreshed([FOUND, other], runs, chat=Foreign(), other=serving())
    assert list(runs.begun.values()) == [other.parameters]


def test_what_discover_could_not_look_at_is_told_when_the_others_had_their_turn(runs):
    gone = replace(FOUND, deployment="gone", commit="", release_id="", failure="gated")
    with pytest.raises(Missing, match="gone: gated"):
        refreshed([gone, FOUND], runs, chat=serving())
    assert list(runs.begun.values()) == [FOUND.parameters]


def test_a_promotion_that_cannot_be_begun_is_told(runs, caplog):
    runs.failure = Missing("no right to create workflows")
    with pytest.raises(Missing, match="chat: no right to create workflows"):
        refreshed([FOUND], runs, chat=serving())
    assert "failed: chat" in caplog.text or "chat: no right" in caplog.text


def test_a_promotion_that_was_begun_before_and_has_ended_is_told_and_not_said_to_be_under_way(runs, caplog):
    runs.ended.add(run_name(FOUND, "night-1"))
    with caplog.at_level("INFO"):
        assert refreshed([FOUND], runs, chat=serving()) == "proposed: chat"
    assert f"run {run_name(FOUND, 'night-1')} was begun for it before and has ended" in caplog.text
    assert command(FOUND, "") in caplog.text


def test_a_refresh_that_is_tried_again_days_later_does_not_act_on_what_was_true_then():
    store, clock = FakeStore(), FakeClock()
    store.put(LAYOUT.report("night-1", core.FILE), core.dump(Findings(at=int(clock.now()), found=(FOUND,))))

    clock.sleep(FRESH_SECONDS)
    assert read(store, LAYOUT, "night-1", clock) == (FOUND,)
    clock.sleep(1)
    with pytest.raises(BadInput, match=r"looked at on 1970-01-01T02:46:40Z.*start a refresh anew"):
        read(store, LAYOUT, "night-1", clock)


def test_without_what_discover_leaves_there_is_nothing_to_go_by():
    store = FakeStore()
    with pytest.raises(Missing, match=r"p/reports/night-1/found\.json"):
        read(store, LAYOUT, "night-1", FakeClock())


def test_a_night_does_not_follow_a_branch_that_was_set_back_behind_what_serves():
    serving = FakeServing()
    live = replace(OLD, committed=2e9)
    serving.held = Held(Record(owner="x"), "1", None)
    serving.ensure(live, 1, "x")
    serving.held = Held(Record(live=live.release_id), "2", live.release_id)
    found = replace(FOUND, committed=1e9)
    outside = Outside(serving=lambda _deployment: serving, runs=None, flag="")
    summary = refresh(RefreshInputs(run="night"), (found,), outside).summary
    assert summary == "proposed: chat"
