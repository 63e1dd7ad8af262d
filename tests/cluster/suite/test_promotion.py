"""Whole promotions on one GPU: real pods of the steps, and of a model server that is quick and fails on demand."""

from contextlib import contextmanager

import pytest

from steps.clients.kube.api import DEPLOYMENT, JOB, WORKFLOW_TEMPLATE
from steps.core import labels, pod_state, workload
from steps.core.installed import PROMOTE_TEMPLATE
from tests.cluster.suite.estate import ANSWER, Estate, told
from tests.cluster.suite.node import GPU, until
from tests.stubs.clients import PATIENT_SECONDS, LongReaders
from tests.stubs.proxy import METHODS

pytestmark = pytest.mark.timeout(900)

FREE = "without-a-mutex"
LONG_SECONDS = 20.0
"""An answer's: longer than a pod that is stopped goes on as if nothing were, shorter than it then has to end it."""


@pytest.fixture(scope="module")
def served(estate: Estate):
    """On the node's one GPU. Its tests leave a good model serving."""
    estate.device = "cuda"
    estate.catalog()
    estate.publish(seed=1)
    run = estate.promote()
    assert run.phase == "Succeeded", told(run)
    return estate


def ended_with(run, step, code):
    """What the step said, whose failure ended the run."""
    node, attempt = run.failure()
    assert (node.name, attempt.exit_code) == (step, code), told(run)
    return attempt.message


def servers(estate):
    return {pod["metadata"]["uid"] for pod in estate.pods()}


def standing(estate):
    """uids of its model servers that nobody has ended."""
    return {p["metadata"]["uid"] for p in estate.pods() if not pod_state.is_ending(p)}


def check_held(readers, moment, old):
    """Who was being answered at that moment by the old one got all of it, and nobody else was cut off either."""
    assert [h for h in readers.across(moment) if old.endswith(h.commit)], "nobody was"
    assert readers.cut_off == []


@contextmanager
def downloads(estate):
    """Every request that the Hub, and the first line of every one that the store, is sent meanwhile."""
    hub, store, asked = estate.around.hub, estate.around.network, list[str]()
    before, up = len(hub.seen), store.up

    def heard(data):
        if data.startswith(METHODS):
            asked.append(data.partition(b"\r\n")[0].decode())
        return data

    store.up = heard
    try:
        yield asked
    finally:
        store.up = up
        asked += [f"{r.kind} {r.target}" for r in hub.seen[before:]]


def weights(estate, request):
    """Whether it asks for a model's bytes, not for what is known of them."""
    stored = request.startswith("GET ") and f"/{estate.prefix}/models/" in request
    return stored or request.startswith("download ")


def data(estate):
    """What the store holds, but for what each run adds to it."""
    return {key: size for key, size in estate.objects().items() if "/reports/" not in key and "/history/" not in key}


class TestOneThatIsGood:
    def test_serves_what_was_published(self, served):
        assert served.says() == ANSWER
        assert (served.record().phase, served.record().candidate) == ("idle", None)

    def test_is_not_done_twice(self, served):
        before, objects = (served.record(), servers(served)), data(served)

        run = served.promote()

        assert run.output("preflight", "state") == "live", told(run)
        assert [n.name for n in run.nodes if n.phase == "Skipped"] == [
            *("mirror", "populate", "checksum", "deploy", "smoke", "promote", "rollback")
        ]
        assert ((served.record(), servers(served)), data(served)) == (before, objects)

    def test_replaces_another_on_its_gpu_and_tells_what_clients_missed(self, served, tell):
        old, commit = served.root(), served.publish(seed=2)

        with served.clients() as clients, LongReaders(served.chat, LONG_SECONDS) as readers:
            run = served.promote()

        assert run.phase == "Succeeded", told(run)
        assert clients.roots == [old, served.directory(commit)]
        said = float(run.output("promote", "outage_seconds"))
        tell(f"an upgrade on one GPU: {clients.outage_seconds:.1f} s without an answer, told as {said:.1f} s")
        # Since room was made; for its last 15 s the old one still answers, as nobody else does.
        assert clients.outage_seconds < said + 1
        check_held(readers, clients.changed_at(), old)

    def test_keeps_the_one_before_at_rest_for_a_rollback(self, served):
        record = served.record()

        deployments = {d["metadata"]["labels"][labels.RELEASE]: d for d in served.api.list(DEPLOYMENT)}

        assert {r: d["spec"]["replicas"] for r, d in deployments.items()} == {record.live: 1, record.previous: 0}


class TestOneThatIsBad:
    @pytest.mark.parametrize(
        ("fault", "step", "words"),
        [
            ("degenerate", "smoke", "nonsense that repeats itself"),
            ("crash-on-start", "deploy", "the stub cannot load this model"),
        ],
        ids=["answers nonsense", "crashes as often as it is started"],
    )
    def test_is_taken_back_and_the_old_one_answers_again(self, served, tell, fault, step, words):
        old, record = served.root(), served.record()
        served.publish("bad", seed=len(fault), fault=fault)

        with served.clients() as clients:
            run = served.promote("bad")

        assert words in ended_with(run, step, 16)
        assert run.output("rollback", "outcome") == "rolled-back", told(run)
        assert clients.roots == [old]
        assert served.says() == ANSWER
        now = served.record()
        assert (now.phase, now.live, now.previous) == ("idle", record.live, record.previous)
        assert run.output("resolve", "release_id") in now.refused
        tell(f"{fault}: {clients.outage_seconds:.1f} s without an answer until the old one was back")

    def test_is_refused_from_then_on_before_anything_moves(self, served):
        before = servers(served)

        run = served.promote("bad")

        assert "workflows.allow" in ended_with(run, "preflight", 11)
        assert servers(served) == before

    def test_names_an_image_that_is_nowhere_and_is_told_so_before_room_is_made(self, served):
        before, record = servers(served), served.record()
        served.publish(seed=30)
        served.catalog(image="vllm-promote-test/absent:1")

        with served.clients(PATIENT_SECONDS) as clients:
            run = served.promote()

        served.catalog()
        message = ended_with(run, "deploy", 16)
        assert "its image vllm-promote-test/absent:1 cannot be pulled" in message
        assert run.output("rollback", "outcome") == "nothing", told(run)
        assert clients.failures == []
        assert (servers(served), served.record()) == (before, record)
        assert served.api.list(JOB, labels=labels.selector(labels.preparations(served.deployment))) == []

    def test_fits_on_no_node_and_is_told_so_before_room_is_made(self, served):
        before = servers(served)
        served.catalog(gpus=2)

        run = served.promote()

        served.catalog()
        assert GPU in ended_with(run, "preflight", 15)
        assert servers(served) == before

    def test_asks_for_what_no_node_has_and_is_told_so_before_room_is_made(self, served):
        before = servers(served)
        served.catalog(pod={"nodeSelector": {"there": "is-none"}})

        run = served.promote()

        served.catalog()
        assert "there=is-none" in ended_with(run, "preflight", 15)
        assert servers(served) == before

    def test_waits_for_a_gpu_that_is_never_free_and_names_who_holds_it(self, served):
        """Beside the live one there is no room for it, which only the scheduler can tell."""
        served.catalog(strategy="blue-green", startup_budget_seconds=10)
        (holder,) = served.pods()

        with served.clients(PATIENT_SECONDS) as clients:
            run = served.promote()

        served.catalog()
        message = ended_with(run, "deploy", 16)
        assert f"{GPU} is held by {holder['metadata']['name']} (1)" in message
        assert run.output("rollback", "outcome") == "rolled-back", told(run)
        assert clients.failures == []


class TestTwoAtOnce:
    def test_wait_for_each_other(self, served):
        served.publish(seed=41)
        first = served.submit()
        served.reached(first, "resolve")
        second = served.submit()
        until(lambda: "waits for" in served.run(second).message)

        one, other = served.ended(first), served.ended(second)

        assert (one.phase, other.phase) == ("Succeeded", "Succeeded"), told(one) + told(other)
        assert one.output("preflight", "state") == "new"
        assert other.output("preflight", "state") == "live"
        assert other.nodes[0].attempts[0].started >= one.finished - 1

    def test_keep_out_of_each_others_way_where_no_mutex_keeps_them(self, served):
        template = served.api.get(WORKFLOW_TEMPLATE, PROMOTE_TEMPLATE)
        spec = {k: v for k, v in template["spec"].items() if k != "synchronization"}
        served.api.create(WORKFLOW_TEMPLATE, {**WORKFLOW_TEMPLATE.header, "metadata": {"name": FREE}, "spec": spec})
        served.publish(seed=51)
        first = served.submit()
        served.reached(first, "deploy", lambda: served.record().phase == "swapping")

        second = served.ended(served.submit(template=FREE))

        owner = served.workflow(first)["metadata"]["uid"]
        assert owner in ended_with(second, "preflight", 14)
        assert second.output("rollback", "outcome") == "nothing"
        one = served.ended(first)
        assert one.phase == "Succeeded", told(one)


class TestTwoGpus:
    @pytest.fixture
    def served(self, served):
        with served.around.node.having(GPU, 2):
            yield served

    def test_let_a_candidate_start_beside_the_live_one_and_clients_miss_nothing(self, served):
        served.catalog(strategy="blue-green")
        old, commit = served.root(), served.publish(seed=61)

        with served.clients(PATIENT_SECONDS) as clients, LongReaders(served.chat, LONG_SECONDS) as readers:
            run = served.promote()

        served.catalog()
        assert run.phase == "Succeeded", told(run)
        assert clients.roots == [old, served.directory(commit)]
        assert clients.failures == []
        check_held(readers, clients.changed_at(), old)
        assert run.output("promote", "outage_seconds") == "0.0"

    def test_let_a_deployment_have_two_replicas_which_are_both_tried_and_download_nothing(self, served):
        served.catalog(replicas=2)

        with downloads(served) as asked, served.clients(PATIENT_SECONDS) as clients:
            run = served.promote()

        served.catalog()
        assert run.phase == "Succeeded", told(run)
        assert run.output("smoke", "proof") == ",".join(sorted(standing(served)))
        assert len(standing(served)) == 2
        assert [a for a in asked if weights(served, a)] == []
        assert clients.failures == []

    def test_let_a_person_scale_the_live_release_up_and_nobody_is_asked_for_a_byte(self, served):
        live = workload.name(served.deployment, served.record().live)
        served.api.patch(DEPLOYMENT, live, {"spec": {"replicas": 1}})
        until(lambda: len(standing(served)) == 1)

        with downloads(served) as asked, served.clients(PATIENT_SECONDS) as clients:
            served.api.patch(DEPLOYMENT, live, {"spec": {"replicas": 2}})
            until(lambda: sum(map(pod_state.is_ready, served.pods())) == 2, seconds=180)  # whose GPU is still held

        assert asked == []
        assert clients.failures == []
        served.api.patch(DEPLOYMENT, live, {"spec": {"replicas": 1}})
