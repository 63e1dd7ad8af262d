"""Nobody who has lost the record changes a Deployment: every moment at which a run may be overtaken, one by one."""

from contextlib import suppress

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


def test_a_pod_template_that_somebody_changed_is_told_of(api, caplog):
    api.edit(DEPLOYMENT, name(LIVE), {"spec": {"template": {"spec": {"containers": [{"name": "vllm"}]}}}})
    serving(api).ensure(LIVE, 1, ZOMBIE)
    assert "was changed by kubectl-edit" in caplog.text
    assert f"`kubectl --namespace models rollout undo deployment {name(LIVE)}`" in caplog.text


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
        with pytest.raises(Conflict, match="was changed since it was read"):
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
