"""Nobody who has lost the record changes a Deployment: every moment at which a run may be overtaken, one by one."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest

from steps.clients.kube.api import DEPLOYMENT, SERVICE
from steps.clients.kube.serving import KubeServing
from steps.core import labels
from steps.core.guards import check_pointer
from steps.core.record import Record
from steps.core.workload import Where
from steps.errors import Conflict, Transient
from tests.stubs.kube import FakeApi
from tests.stubs.kube_cluster import FakeCluster
from tests.stubs.local import a_release
from tests.stubs.scene import FakeClock

ZOMBIE, OWNER = "run-1", "run-2"
CANDIDATE, LIVE = a_release(1), a_release(2)
OTHER_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "vllm", "image": "vllm:other"}]}}}}
OUR_PORT = {"name": "http", "port": 80, "targetPort": 8000, "protocol": "TCP"}


def serving(api):
    return KubeServing(api, "chat", Where(claim="models", volume="/models"), FakeClock())


def hand_over(api, ports):
    """What somebody else made, labelled as our sentence tells."""
    metadata = {"name": "chat", "labels": {labels.PART_OF: labels.PROJECT}}
    api.create(SERVICE, {"metadata": metadata, "spec": {"selector": {"app": "old"}, "ports": ports}})


def name(release):
    return f"chat-{release.release_id}"


@pytest.fixture
def api():
    """Where the live release serves, and the run that will be overtaken owns the record."""
    api = FakeApi()
    FakeCluster(api)
    one = serving(api)
    one.swap(one.read(), Record(phase="swapping", owner=ZOMBIE, live=LIVE.release_id))
    one.ensure(LIVE, 1, ZOMBIE)
    return api


def interrupted(api, at, action, overtake):
    """Do the action, and right before its request number ``at`` what overtakes it; whether it got that far."""
    requests, done = iter(range(1000)), list[bool]()

    def before(_request):
        if not done and next(requests) == at:
            done.append(True)
            overtake()

    api.before = before
    with suppress(Conflict):
        action()
    api.before = lambda _request: None
    return bool(done)


def roll_back(api, owner):
    """By another run, or by the exit handler of the very one whose step is late."""

    def overtake():
        mine = serving(api)
        back = Record(phase="rolling-back", owner=owner, live=LIVE.release_id, candidate=CANDIDATE.release_id)
        mine.swap(mine.read(), back)
        mine.stop(CANDIDATE.release_id, owner)
        mine.ensure(LIVE, 1, owner)

    return overtake


ACTIONS = {
    "starts its candidate": lambda mine: mine.ensure(CANDIDATE, 1, ZOMBIE),
    "starts its candidate again": lambda mine: (mine.ensure(CANDIDATE, 0, ZOMBIE), mine.ensure(CANDIDATE, 1, ZOMBIE)),
    "makes room": lambda mine: mine.stop(LIVE.release_id, ZOMBIE),
    "removes": lambda mine: mine.remove(LIVE.release_id, ZOMBIE),
}


@pytest.mark.parametrize("owner", [OWNER, ZOMBIE])
@pytest.mark.parametrize("what", ACTIONS)
def test_a_run_that_is_overtaken_at_any_moment_leaves_things_as_its_rollback_made_them(api, what, owner):
    mine, at = serving(api), 0
    while interrupted(api, at, lambda: ACTIONS[what](mine), roll_back(api, owner)):
        assert mine.replicas(CANDIDATE.release_id) == 0, f"overtaken at request {at}"
        assert mine.replicas(LIVE.release_id) == 1, f"overtaken at request {at}"
        assert len(mine.pods(LIVE.release_id)) == 1
        held = mine.read()
        mine.swap(held, Record(phase="swapping", owner=ZOMBIE, live=LIVE.release_id))
        mine.ensure(LIVE, 1, ZOMBIE)
        mine.remove(CANDIDATE.release_id, ZOMBIE)
        at += 1
    assert at > 2


def test_each_change_stamps_its_owner_and_what_the_record_was(api):
    mine = serving(api)
    mine.ensure(CANDIDATE, 1, ZOMBIE)
    annotations = api.get(DEPLOYMENT, name(CANDIDATE))["metadata"]["annotations"]
    assert (annotations[labels.OWNER], annotations[labels.RECORD_VERSION]) == (ZOMBIE, mine.read().version)


def test_a_newer_record_makes_a_newer_deployment_though_nothing_else_changes(api):
    mine = serving(api)
    before = api.get(DEPLOYMENT, name(LIVE))["metadata"]["resourceVersion"]
    mine.ensure(LIVE, 1, ZOMBIE)
    assert api.get(DEPLOYMENT, name(LIVE))["metadata"]["resourceVersion"] == before
    mine.swap(mine.read(), Record(phase="testing", owner=ZOMBIE, live=LIVE.release_id))
    mine.ensure(LIVE, 1, ZOMBIE)
    assert api.get(DEPLOYMENT, name(LIVE))["metadata"]["resourceVersion"] != before


def test_controllers_that_write_its_status_meanwhile_keep_nobody_from_changing_it(api):
    ticks = iter(range(3))

    def before(request):
        if request.startswith("patch deployments") and next(ticks, None) is not None:
            api.tell(DEPLOYMENT, name(LIVE), {"observedGeneration": 1, "replicas": next(ticks, 7)})

    api.before = before
    serving(api).ensure(LIVE, 2, ZOMBIE)
    assert serving(api).replicas(LIVE.release_id) == 2


def test_one_that_never_holds_still_is_given_up(api):
    moment = iter(range(1000))
    api.before = lambda request: (
        api.edit(DEPLOYMENT, name(LIVE), {"metadata": {"annotations": {"other": str(next(moment))}}}, "other")
        if request.startswith("patch deployments")
        else None
    )
    with pytest.raises(Transient, match="changed under every one of 20 writes"):
        serving(api).ensure(LIVE, 2, ZOMBIE)


@pytest.mark.parametrize("theirs", [{"app": "x"}, {labels.PART_OF: labels.PROJECT}])
def test_a_deployment_of_another_is_left_alone_and_told_to_be_in_the_way(api, theirs):
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}}
    api.create(DEPLOYMENT, {"metadata": {"name": name(CANDIDATE), "labels": theirs}, "spec": spec})
    for change in (
        lambda: serving(api).ensure(CANDIDATE, 1, ZOMBIE),
        lambda: serving(api).remove(CANDIDATE.release_id, ZOMBIE),
    ):
        with pytest.raises(Conflict, match=r"is not ours, .*kubectl --namespace models delete deployment chat-"):
            change()


class TestOfInterference:
    """Who changed what, and when, is told; what a run has changed before them it does not write over."""

    @pytest.fixture
    def started(self, api):
        """The candidate's pods run, and ZOMBIE is at work on them."""
        mine = serving(api)
        mine.swap(
            mine.read(),
            Record(phase="testing", owner=ZOMBIE, live=LIVE.release_id, candidate=CANDIDATE.release_id),
        )
        mine.ensure(CANDIDATE, 1, ZOMBIE)
        return mine

    def test_replicas_that_a_person_changed_meanwhile_are_a_conflict_and_stay(self, api, started):
        api.edit(DEPLOYMENT, name(CANDIDATE), {"spec": {"replicas": 3}}, "kubectl", "scale")
        said = rf"replicas of Deployment {name(CANDIDATE)} were changed from 1 to 3 by kubectl through scale"
        with pytest.raises(Conflict, match=said):
            started.ensure(CANDIDATE, 1, ZOMBIE)
        assert started.replicas(CANDIDATE.release_id) == 3
        assert len(started.meddled(CANDIDATE.release_id)) == 1

    def test_a_template_that_a_person_changed_meanwhile_is_a_conflict_and_stays(self, api, started):
        api.edit(DEPLOYMENT, name(CANDIDATE), OTHER_IMAGE)
        with pytest.raises(
            Conflict, match=r"spec\.template\.spec\.containers.* by kubectl-edit at .*leaves it as it is"
        ):
            started.ensure(CANDIDATE, 1, ZOMBIE)
        assert "vllm:other" in str(api.get(DEPLOYMENT, name(CANDIDATE))["spec"])

    def test_a_live_release_that_a_person_starts_again_while_room_is_made_is_not_stopped_once_more(self, api, started):
        started.stop(LIVE.release_id, ZOMBIE)
        api.edit(DEPLOYMENT, name(LIVE), {"spec": {"replicas": 1}}, "kubectl", "scale")
        with pytest.raises(Conflict, match=rf"{name(LIVE)} were changed from 0 to 1 by kubectl through scale"):
            started.stop(LIVE.release_id, ZOMBIE)
        assert started.replicas(LIVE.release_id) == 1

    def test_what_came_before_the_run_is_told_and_taken_over(self, api, started, caplog):
        api.edit(DEPLOYMENT, name(LIVE), {"spec": {"replicas": 4}}, "kube-controller-manager", "scale")
        held = started.read()
        started.swap(held, replace(held.record, owner=OWNER))
        (said,) = started.meddled(LIVE.release_id)
        assert "were changed from 1 to 4 by kube-controller-manager through scale, as a HorizontalPodAutoscaler" in said
        started.stop(LIVE.release_id, OWNER)
        assert said in caplog.text
        assert (started.replicas(LIVE.release_id), started.meddled(LIVE.release_id)) == (0, ())

    def test_a_candidate_that_was_edited_before_its_run_is_not_started(self, api, started):
        started.stop(CANDIDATE.release_id, ZOMBIE)
        api.edit(DEPLOYMENT, name(CANDIDATE), OTHER_IMAGE)
        held = started.read()
        started.swap(held, replace(held.record, owner=OWNER))
        with pytest.raises(Conflict, match=rf"so it is not what was resolved; .*delete deployment {name(CANDIDATE)}`"):
            started.ensure(CANDIDATE, 1, OWNER)
        assert started.replicas(CANDIDATE.release_id) == 0
        api.delete(DEPLOYMENT, name(CANDIDATE))
        started.ensure(CANDIDATE, 1, OWNER)
        assert started.meddled(CANDIDATE.release_id) == ()

    def test_an_edit_that_was_put_back_is_no_difference(self, api, started):
        container = api.get(DEPLOYMENT, name(CANDIDATE))["spec"]["template"]["spec"]["containers"]
        api.edit(DEPLOYMENT, name(CANDIDATE), OTHER_IMAGE)
        api.edit(DEPLOYMENT, name(CANDIDATE), {"spec": {"template": {"spec": {"containers": container}}}})
        started.ensure(CANDIDATE, 1, ZOMBIE)
        assert started.meddled(CANDIDATE.release_id) == ()

    def test_what_a_person_takes_out_is_a_conflict_though_nobody_keeps_who_did_it(self, api, started):
        api.edit(DEPLOYMENT, name(CANDIDATE), {"spec": {"template": {"spec": {"securityContext": None}}}})
        with pytest.raises(Conflict, match=r"the spec of Deployment .* was changed since we wrote it, .*not kept"):
            started.ensure(CANDIDATE, 1, ZOMBIE)

    def test_a_candidate_that_was_deleted_is_made_again_and_that_is_told(self, api, started, caplog):
        api.delete(DEPLOYMENT, name(CANDIDATE))
        started.ensure(CANDIDATE, 1, ZOMBIE)
        assert f"Deployment {name(CANDIDATE)} is gone: somebody deleted it" in caplog.text
        assert started.replicas(CANDIDATE.release_id) == 1

    def test_pods_that_were_restarted_by_hand_are_the_same_release(self, api, started, caplog):
        at = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
        api.edit(DEPLOYMENT, name(CANDIDATE), {"spec": {"template": at}}, "kubectl-rollout")
        started.ensure(CANDIDATE, 1, ZOMBIE)
        assert f"the pods of Deployment {name(CANDIDATE)} were restarted by kubectl-rollout" in caplog.text

    def test_on_the_way_back_it_is_told_and_keeps_nobody(self, api, started, caplog):
        started.stop(LIVE.release_id, ZOMBIE)
        api.edit(DEPLOYMENT, name(CANDIDATE), {"spec": {"replicas": 3}}, "kubectl", "scale")
        api.edit(DEPLOYMENT, name(LIVE), OTHER_IMAGE)
        held = started.read()
        started.swap(held, replace(held.record, phase="rolling-back"))
        started.stop(CANDIDATE.release_id, ZOMBIE)
        started.ensure(LIVE, 1, ZOMBIE)
        assert "from 1 to 3 by kubectl through scale" in caplog.text
        assert f"of Deployment {name(LIVE)} was changed" in caplog.text
        assert (started.replicas(CANDIDATE.release_id), started.replicas(LIVE.release_id)) == (0, 1)
        assert "vllm:other" in str(api.get(DEPLOYMENT, name(LIVE))["spec"]), "no run undoes what a person has edited"

    def test_what_an_earlier_version_of_this_program_has_made_is_no_interference(self, api, started):
        gone = dict.fromkeys((labels.REPLICAS, labels.SPEC))
        api.patch(DEPLOYMENT, name(CANDIDATE), {"metadata": {"annotations": gone}, "spec": {"replicas": 2}})
        assert started.meddled(CANDIDATE.release_id) == ()
        started.ensure(CANDIDATE, 1, ZOMBIE)

    def test_a_selector_that_a_person_moves_while_a_run_is_at_work_is_named_and_stays(self, api, started):
        held = started.read()
        api.edit(SERVICE, "chat", {"spec": {"selector": {labels.RELEASE: CANDIDATE.release_id}}}, "kubectl-patch")
        assert started.read().record == held.record
        with pytest.raises(
            Conflict, match=r"where Service chat leads was changed from .* by kubectl-patch at .*put it"
        ):
            started.point(held, replace(held.record, phase="draining"), CANDIDATE.release_id)
        assert started.read().target == CANDIDATE.release_id
        (said,) = started.meddled(None)
        assert said.startswith(
            f"where Service chat leads was changed from {LIVE.release_id} to {CANDIDATE.release_id} by"
        )

    def test_a_record_that_a_person_wrote_is_named(self, api, started):
        held = started.read()
        text = json.dumps(replace(held.record, refused=("a" * 12,)).to_json())
        api.edit(SERVICE, "chat", {"metadata": {"annotations": {labels.RECORD: text}}}, "kubectl-annotate")
        assert "the record of chat was written by kubectl-annotate at" in " ".join(started.meddled(None))

    def test_a_port_that_a_person_bent_is_put_back_and_told(self, api, started, caplog):
        held = started.read()
        started.point(held, held.record, LIVE.release_id)
        api.edit(SERVICE, "chat", {"spec": {"ports": [{**OUR_PORT, "targetPort": 9000}]}}, "kubectl-edit")
        held = started.read()
        started.swap(held, replace(held.record, since=1.0))
        assert api.get(SERVICE, "chat")["spec"]["ports"] == [OUR_PORT]
        assert "targetPort of port 80 of Service chat was changed from 8000 to 9000 by kubectl-edit at" in caplog.text


class TestOfTheRecord:
    def test_a_service_of_another_is_left_alone_and_told_how_to_be_handed_over(self):
        api = FakeApi()
        api.create(SERVICE, {"metadata": {"name": "chat"}, "spec": {"selector": {"app": "old"}}})
        with pytest.raises(Conflict, match=r"Service chat in namespace models is not ours; .*--deployment.*kubectl"):
            serving(api).read()

    def test_one_that_is_handed_over_leads_where_it_did_until_the_pointer_moves(self):
        api = FakeApi()
        hand_over(api, [{"port": 80, "targetPort": 8080}])
        mine = serving(api)
        assert (mine.read().record, mine.read().target) == (Record(), None)
        held = mine.swap(mine.read(), Record(owner=OWNER))
        (service,) = api.list(SERVICE)
        assert service["spec"] == {"selector": {"app": "old"}, "ports": [{"port": 80, "targetPort": 8080}]}
        mine.point(held, Record(owner=OWNER, live=LIVE.release_id), LIVE.release_id)
        (service,) = api.list(SERVICE)
        assert service["spec"]["selector"] == labels.pods("chat", LIVE.release_id)
        assert service["spec"]["ports"] == [OUR_PORT]

    def test_one_that_is_handed_over_can_be_promoted_to_after_a_first_promotion_failed(self):
        api = FakeApi()
        hand_over(api, [{"port": 80, "targetPort": 8080}])
        mine = serving(api)
        began = mine.swap(mine.read(), Record(phase="swapping", owner=OWNER, candidate=CANDIDATE.release_id))
        held = mine.swap(began, Record(refused=(CANDIDATE.release_id,)))
        assert held == mine.read()
        check_pointer("chat", held.record, held.target)
        mine.point(held, Record(owner=OWNER, live=LIVE.release_id), LIVE.release_id)
        assert mine.read().target == LIVE.release_id

    def test_whatever_port_clients_of_one_that_is_handed_over_know_leads_to_the_model_server(self):
        api = FakeApi()
        hand_over(api, [{"name": "http", "port": 8080, "targetPort": "web"}, {"port": 53, "protocol": "UDP"}])
        mine = serving(api)
        mine.point(mine.read(), Record(live=LIVE.release_id), LIVE.release_id)
        (service,) = api.list(SERVICE)
        theirs = {"name": "http", "port": 8080, "targetPort": 8000}
        assert service["spec"]["ports"] == [{**OUR_PORT, "name": "vllm"}, theirs]

    def test_what_else_is_said_of_our_port_stays_and_so_do_the_ports_beside_it(self, api):
        beside = {"port": 9000, "targetPort": 9001}
        api.edit(SERVICE, "chat", {"spec": {"ports": [{**OUR_PORT, "nodePort": 30080}, beside]}})
        mine = serving(api)
        mine.swap(mine.read(), Record())
        ports = api.get(SERVICE, "chat")["spec"]["ports"]
        assert ports == [{**OUR_PORT, "nodePort": 30080}, {**beside, "name": "port-9000"}]

    def test_a_selector_that_a_hand_has_changed_is_told_as_it_is(self, api):
        api.edit(SERVICE, "chat", {"spec": {"selector": {"app": "mine", labels.RELEASE: None}}})
        assert "app=mine" in str(serving(api).read().target)

    def test_a_record_that_a_hand_has_removed_does_not_hide_whom_clients_are_sent_to(self, api):
        mine = serving(api)
        mine.point(mine.read(), Record(live=LIVE.release_id), LIVE.release_id)
        api.edit(SERVICE, "chat", {"metadata": {"annotations": {labels.RECORD: None}}})
        assert (mine.read().record, mine.read().target) == (Record(), LIVE.release_id)

    def test_whoever_touches_the_service_and_not_the_record_is_no_conflict(self, api):
        mine = serving(api)
        held = mine.read()
        api.edit(SERVICE, "chat", {"metadata": {"annotations": {"cloud": "x"}}}, "cloud")
        mine.swap(held, Record(owner=OWNER))
        assert mine.read().record.owner == OWNER
        assert api.get(SERVICE, "chat")["metadata"]["annotations"]["cloud"] == "x"

    def test_a_service_that_somebody_removed_is_a_conflict(self, api):
        mine = serving(api)
        held = mine.read()
        api.delete(SERVICE, "chat")
        with pytest.raises(Conflict, match=r"record of chat is gone.*Service chat.*from a backup.*promote again"):
            mine.swap(held, Record())

    def test_the_service_leads_nowhere_at_first_and_to_the_model_servers_port(self, api):
        made = api.get(SERVICE, "chat")["spec"]
        assert made["selector"] == labels.pods("chat", labels.NO_RELEASE)
        assert made["ports"] == [OUR_PORT]


def test_what_is_made_by_who_has_lost_the_record_meanwhile_is_taken_back(api):
    """Making one knows no condition, so it looks again afterwards."""
    before = {d["metadata"]["name"] for d in api.list(DEPLOYMENT)}

    def overtaken(request):
        if request.startswith("create deployments"):
            mine = serving(api)
            mine.swap(mine.read(), Record(phase="rolling-back", owner=OWNER, live=LIVE.release_id))

    api.before = overtaken
    with pytest.raises(Conflict, match=f"{OWNER} owns the record"):
        serving(api).ensure(CANDIDATE, 1, ZOMBIE)
    assert any(call.startswith("create deployments") for call in api.calls)
    assert {d["metadata"]["name"] for d in api.list(DEPLOYMENT)} == before


def test_what_it_made_and_another_has_taken_up_meanwhile_is_left_to_that(api):
    def overtaken(request):
        if request.startswith("get services") and ("deployments", name(CANDIDATE)) in api._objects:
            api.before = lambda _request: None
            mine = serving(api)
            mine.swap(mine.read(), Record(phase="swapping", owner=OWNER, live=LIVE.release_id))
            mine.ensure(CANDIDATE, 1, OWNER)

    api.before = overtaken
    with pytest.raises(Conflict, match=f"{OWNER} owns the record"):
        serving(api).ensure(CANDIDATE, 1, ZOMBIE)
    assert serving(api).replicas(CANDIDATE.release_id) == 1


def test_a_deployment_that_names_no_release_is_not_one_of_ours_and_hides_no_other(api):
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}}
    api.create(DEPLOYMENT, {"metadata": {"name": "odd", "labels": labels.servers("chat")}, "spec": spec})
    assert serving(api).releases() == (LIVE.release_id,)
