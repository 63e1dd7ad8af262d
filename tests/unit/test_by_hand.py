import pytest

from steps.clients.kube.api import CRON_JOB, JOB, POD
from steps.core.installed import AUDIT_JOB, RECONCILE_JOB
from steps.entry import parse
from steps.errors import Missing, Transient
from steps.scheduled import AUDIT, AuditInputs
from tests.stubs.kube import FakeApi
from tests.stubs.scene import FakeClock
from workflows import cron
from workflows.argo.patience import OutOfSight
from workflows.cluster.by_hand import Ended, carry_out, exit_code, follow, job, start
from workflows.pods import TemplateConfig

CRON = cron.reconcile_job(TemplateConfig(), "models")


@pytest.fixture
def api():
    api = FakeApi()
    api.create(CRON_JOB, CRON)
    return api


class Cluster(FakeClock):
    """Each time that somebody waits, the next thing happens."""

    def __init__(self, *happenings):
        super().__init__()
        self.happenings = list(happenings)

    def sleep(self, seconds):
        super().sleep(seconds)
        self.happenings.pop(0)()


def pod(api, name, state):
    body = {
        "metadata": {"name": f"{name}-x", "labels": {"batch.kubernetes.io/job-name": name}},
        "spec": {"containers": [{"name": "the-step"}]},
        "status": {"containerStatuses": [{"state": state}]},
    }
    return lambda: api.patch(POD, f"{name}-x", body) if api.get(POD, f"{name}-x") else api.create(POD, body)


def ended(api, name, kind):
    conditions = [{"type": kind, "status": "True", "message": "it is over"}]
    return lambda: api.patch(JOB, name, {"status": {"conditions": conditions}})


def test_it_does_what_the_clock_would_have_it_do():
    made = job({**CRON, "metadata": {**CRON["metadata"], "uid": "u"}}, (), "ab")

    assert made["spec"] == CRON["spec"]["jobTemplate"]["spec"]
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"


def test_one_deployment_may_be_named():
    made = job({**CRON, "metadata": {**CRON["metadata"], "uid": "u"}}, ["--deployment=chat"], "ab")

    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--owner=$(POD_UID)", "--deployment=chat"]


def test_where_it_is_not_installed_the_way_to_install_it_is_told():
    with pytest.raises(Missing, match=r"no CronJob vllm-promote-reconcile .* -m workflows\.install"):
        start(FakeApi(), RECONCILE_JOB)


def test_it_is_followed_to_its_end_and_says_once_what_it_waits_for(api):
    name, said = start(api, RECONCILE_JOB), list[str]()
    no_image = pod(api, name, {"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
    done = pod(api, name, {"terminated": {"exitCode": 17}})
    clock = Cluster(no_image, no_image, done, ended(api, name, "Failed"))
    api.logs[f"{name}-x", False] = "chat could not be brought back"

    found = follow(api, name, clock, said.append)

    assert found == Ended(code=17, log="chat could not be brought back")
    assert said == ["its pod waits: ErrImagePull: no such image"]


def test_one_that_never_had_a_pod_says_why(api):
    name = start(api, RECONCILE_JOB)
    found = follow(api, name, Cluster(ended(api, name, "Failed")), print)

    assert found == Ended(code=None, log="no pod of it is there: it is over")


def test_one_whose_pod_is_deleted_at_its_deadline_says_what_that_waited_for(api):
    name = start(api, RECONCILE_JOB)
    no_image = pod(api, name, {"waiting": {"reason": "ErrImagePull", "message": "no such image"}})

    def overdue():
        api.delete(POD, f"{name}-x")
        ended(api, name, "Failed")()

    found = follow(api, name, Cluster(no_image, overdue), print)

    waited = "its pod waits: ErrImagePull: no such image"
    assert found == Ended(code=None, log=f"no pod of it is there: it is over; before, {waited}")


def test_one_that_somebody_deleted_is_not_waited_for(api):
    with pytest.raises(Missing, match="was deleted before it ended"):
        follow(api, "gone", FakeClock(), print)


def test_an_api_server_that_is_away_is_waited_for(api):
    name, said = start(api, RECONCILE_JOB), list[str]()
    answers = iter([Transient("away"), Transient("away")])

    def away(_request):
        for err in answers:
            raise err

    api.before = away
    found = follow(api, name, Cluster(lambda: None, lambda: None, ended(api, name, "Failed")), said.append)

    assert found == Ended(code=None, log="no pod of it is there: it is over")
    assert said == ["out of sight: away; the job itself goes on, looking for it again", "in sight again"]


def test_one_that_nobody_can_be_asked_about_any_more_is_not_said_to_have_failed(api):
    name = start(api, RECONCILE_JOB)

    def ended_login(_request):
        raise Missing("renew the login")

    api.before = ended_login
    with pytest.raises(OutOfSight, match="renew the login"):
        follow(api, name, FakeClock(), print)


class Immediate(FakeApi):
    """Each job is over as soon as it is looked at."""

    def create(self, kind, body):
        made = super().create(kind, body)
        if kind is JOB:
            name = made["metadata"]["name"]
            pod(self, name, {"terminated": {"exitCode": 13}})()
            self.logs[f"{name}-x", False] = "ERROR steps.audit: 1 difference\n"
            ended(self, name, "Failed")()
        return made


def test_a_person_is_told_where_it_runs_and_then_all_that_it_said(capsys):
    api = Immediate()
    api.create(CRON_JOB, cron.audit_job(TemplateConfig(), "models"))

    assert carry_out(api, AUDIT_JOB, ["--everything=false", "--repair=true"], "audit") == 1

    (made,) = api.list(JOB)
    name = made["metadata"]["name"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--everything=true", "--everything=false", "--repair=true"]
    assert parse(AUDIT, container["args"]) == AuditInputs(everything=False, repair=True)
    assert container["name"] == "audit"
    told = capsys.readouterr().out
    assert told.startswith(f"started job {name} in namespace {api.namespace}; see its log with `kubectl")
    assert told.endswith("ERROR steps.audit: 1 difference\n")


@pytest.mark.parametrize(("step", "command"), [(0, 0), (17, 4), (75, 1), (12, 1), (None, 1)])
def test_the_command_s_exit_code_says_whether_a_person_is_needed(step, command):
    assert exit_code(Ended(code=step, log="")) == command
