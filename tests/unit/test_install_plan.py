"""What install and uninstall decide to do, against a Kubernetes API in memory."""

import json

import pytest

from steps.clients.kube.api import (
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    NETWORK_POLICY,
    SERVICE,
    SERVICE_ACCOUNT,
    WORKFLOW,
    WORKFLOW_TEMPLATE,
)
from steps.clients.kube.errors import Forbidden
from steps.core import argo, labels
from steps.core.installed import RECONCILE_JOB
from steps.core.record import Record
from steps.errors import BadInput, Conflict
from tests.stubs.installed import configuration, install, put
from tests.stubs.kube import FakeApi
from workflows.cluster import plan, removal, shown
from workflows.cluster.objects import objects
from workflows.cluster.parts import MODEL
from workflows.pods import CATALOG


@pytest.fixture
def config(tmp_path):
    return configuration(tmp_path, nfs="filer.example:/models")


@pytest.fixture
def api(config):
    api = FakeApi()
    install(api, config)
    return api


def todo(changes):
    return [(change.action, change.kind, change.name) for change in changes if change.action != "keep"]


def test_in_a_cluster_without_the_namespace_everything_is_new(config):
    api = FakeApi()
    changes = plan.look(api, objects(config))
    assert {change.action for change in changes} == {"create"}
    plan.carry_out(api, changes, take_over=False)
    assert todo(plan.look(api, objects(config))) == []


def test_looking_changes_nothing(config):
    api = FakeApi()
    put(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace}})
    plan.look(api, objects(config))
    assert api.list(CONFIG_MAP) == []


def test_a_changed_catalog_changes_its_config_map_alone_and_is_shown_line_by_line(api, config):
    config.catalog_path.write_text(
        "# Ours.\ndeployments:\n  chat: {model: org/chat, replicas: 2}\n  code: {model: org/code}\n"
    )
    changes = plan.look(api, objects(config))
    assert todo(changes) == [("change", CONFIG_MAP, CATALOG)]
    told = shown.text(changes)
    assert "-      chat: {model: org/chat}\n" in told
    assert "+      chat: {model: org/chat, replicas: 2}\n" in told
    assert told.endswith("1 to change, 34 as they are.")


def test_without_a_change_that_is_all_that_is_said(api, config):
    assert shown.text(plan.look(api, objects(config))) == "Nothing to change: 35 objects are as they should be."


def test_what_somebody_else_changed_is_theirs_until_it_is_taken_over(api, config):
    api.edit(CONFIG_MAP, CATALOG, {"data": {"catalog.yaml": "deployments: {}"}})
    changes = plan.look(api, objects(config))
    assert todo(changes) == [("change", CONFIG_MAP, CATALOG)]
    assert "somebody else manages it" in shown.text(changes)
    assert ["kubectl-edit" in sentence for sentence in shown.conflicts(changes)] == [True]
    with pytest.raises(Conflict, match="kubectl-edit"):
        plan.carry_out(api, changes, take_over=False)
    plan.carry_out(api, changes, take_over=True)
    assert todo(plan.look(api, objects(config))) == []


def test_what_an_earlier_installation_made_and_this_one_does_not_want_goes(api, config):
    changes = plan.look(api, objects(config.model_copy(update={"network_policies": False})))
    assert {(action, kind) for action, kind, _ in todo(changes)} == {("remove", NETWORK_POLICY)}
    plan.carry_out(api, changes, take_over=False)
    assert api.list(NETWORK_POLICY) == []


def test_the_right_to_read_nodes_goes_when_it_is_no_longer_wanted(api, config):
    without = objects(config.model_copy(update={"node_reader": False}))
    assert [(action, kind.name) for action, kind, _ in todo(plan.look(api, without))] == [
        ("remove", "ClusterRoleBinding"),
        ("remove", "ClusterRole"),
    ]


def test_what_is_not_ours_stays_whatever_it_is(api, config):
    api.create(CONFIG_MAP, {**CONFIG_MAP.header, "metadata": {"name": "theirs"}})
    assert todo(plan.look(api, objects(config))) == []


def test_a_claim_is_never_taken_away(api, config):
    assert todo(plan.look(api, objects(config.model_copy(update={"nfs": None})))) == []


def test_who_has_rights_in_the_namespace_alone_is_told_how_to_go_on(api, config):
    api.forbidden.add(("get", NAMESPACE.plural))
    with pytest.raises(Forbidden, match=r"no right to get namespaces.* or set cluster_scoped = false"):
        plan.look(api, objects(config))
    within = config.model_copy(update={"cluster_scoped": False, "nfs": None})
    assert todo(plan.look(api, objects(within))) == []


def test_a_volume_that_cannot_be_changed_is_told_of_with_the_way_out(config):
    def refuse(request):
        if request.startswith("patch persistentvolumes/"):
            raise BadInput("spec.persistentvolumesource is immutable after creation")

    api = FakeApi()
    install(api, config)
    api.before = refuse
    with pytest.raises(BadInput, match=r"immutable.*give that one a claim of its own"):
        plan.look(api, objects(config))


def test_uninstall_takes_away_all_but_the_data(api, config):
    plan.carry_out(api, removal.plan(api, config), take_over=False)
    assert removal.plan(api, config) == ()
    assert [each.what for each in removal.stays(api, config, "models")] == [
        "claim models, with the models",
        "volume models-models under it",
        "namespace models",
    ]


def test_what_serves_goes_on_with_its_account_and_is_named(api, config):
    for kind, marks in ((SERVICE, labels.endpoint("chat")), (DEPLOYMENT, labels.server("chat", "a" * 12))):
        api.create(kind, {**kind.header, "metadata": {"name": "chat", "labels": marks}})
    plan.carry_out(api, removal.plan(api, config), take_over=False)
    assert [account["metadata"]["name"] for account in api.list(SERVICE_ACCOUNT)] == [MODEL]
    policies = {policy["metadata"]["name"] for policy in api.list(NETWORK_POLICY)}
    assert policies == {"vllm-promote-deny", "vllm-promote-model-servers"}
    first = next(removal.stays(api, config, "models"))
    assert first.what == "the deployments chat, which serve on, and their network policies"
    assert first.command.endswith("delete deploy,svc,sa,netpol -l app.kubernetes.io/part-of=vllm-promote")
    assert removal.plan(api, config) == ()


def test_nothing_is_taken_away_under_a_run_that_is_at_work(api):
    api.create(WORKFLOW, argo.workflow("vllm-promote", {}, name="promote-x"))
    with pytest.raises(Conflict, match="at work: promote-x; wait for the end, or stop them"):
        removal.require_rest(api)
    api.patch(WORKFLOW, "promote-x", {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}})
    removal.require_rest(api)


def test_nothing_is_taken_away_under_a_refresh_which_would_start_a_promotion(api):
    for template in (t["metadata"]["name"] for t in api.list(WORKFLOW_TEMPLATE)):
        api.create(WORKFLOW, argo.workflow(template, {}, name=f"of-{template}"))
        with pytest.raises(Conflict, match=f"at work: of-{template};"):
            removal.require_rest(api)
        api.delete(WORKFLOW, f"of-{template}")
    removal.require_rest(api)
    api.undefined.add("workflowtemplates")
    api.create(WORKFLOW, argo.workflow("vllm-promote-refresh", {}, name="nightly"))
    with pytest.raises(Conflict, match="at work: nightly;"):
        removal.require_rest(api)


@pytest.mark.parametrize("name", ["vllm-promote-reconcile-29385", "vllm-promote-reconcile-by-hand-ab"])
def test_nothing_is_taken_away_under_a_reconciler_that_brings_a_model_back(api, name):
    template = api.get(CRON_JOB, RECONCILE_JOB)["spec"]["jobTemplate"]
    api.create(JOB, {**JOB.header, "metadata": {"name": name, **template["metadata"]}, "spec": template["spec"]})
    with pytest.raises(Conflict, match=f"the reconciler, job {name}; wait for the end, .*delete job {name}`"):
        removal.require_rest(api)
    api.tell(JOB, name, {"conditions": [{"type": "Failed", "status": "True"}]})
    removal.require_rest(api)


def test_nothing_is_taken_away_that_would_put_right_what_the_dead_have_left(api):
    def keep(**state):
        annotations = {labels.RECORD: json.dumps(Record(**state).to_json())}
        api.apply(
            SERVICE, {"metadata": {"name": "chat", "labels": labels.endpoint("chat"), "annotations": annotations}}
        )

    keep(phase="testing", owner="dead")
    with pytest.raises(Conflict, match=r"left unfinished: chat; run .*workflows\.reconcile.*, and uninstall again"):
        removal.require_rest(api)
    keep()
    removal.require_rest(api)


def test_the_claim_that_stays_is_the_installed_one_whatever_this_machine_is_told(api, config):
    elsewhere = config.model_copy(update={"claim": "weights"})
    assert removal.claim_of(api, elsewhere) == "models"
    plan.carry_out(api, removal.plan(api, config), take_over=False)
    assert removal.claim_of(api, elsewhere) == "weights"
    api.undefined.add("workflowtemplates")
    assert removal.claim_of(api, elsewhere) == "weights"


def test_somebody_elses_run_does_not_matter_and_neither_does_an_argo_that_is_gone(api, config):
    api.create(WORKFLOW, argo.workflow("theirs", {}, name="promote-theirs"))
    removal.require_rest(api)
    api.undefined |= {WORKFLOW.plural, "workflowtemplates", "cronworkflows"}
    removal.require_rest(api)
    assert removal.plan(api, config)
