"""What each service account may not do: as the API server sees it, and by trying."""

import pytest
from kubernetes import client as kubernetes

from steps.clients.kube.api import (
    CLUSTER_ROLE,
    CONFIG_MAP,
    CRON_WORKFLOW,
    DEPLOYMENT,
    JOB,
    POD,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    WORKFLOW,
    WORKFLOW_TEMPLATE,
    Api,
    Kind,
)
from steps.errors import Missing
from tests.cluster.suite.serving_bench import acting_as
from workflows.cluster.parts import DATA, MODEL, RECONCILE, REFRESH, SERVING, SUBMIT

RULES = Kind("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False)
EVERYBODYS = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
READ = {"get", "list"}
LOOK = {*READ, "watch"}
TASK_RESULTS = {"workflowtaskresults": {"create", "patch"}}
NODES = {"nodes": {"list"}, "persistentvolumes": {"get"}}
OPERATE = {
    "services": {*READ, "create", "patch"},
    "deployments": {*READ, "create", "patch", "delete"},
    "pods": {*READ, "delete"},
    "pods/log": {"get"},
    "events": {"list"},
    "persistentvolumeclaims": {"get"},
    "workflows": READ,
}
PREPARE = {"jobs": {"list", "create", "delete"}}
REFRESHING = {"workflows": {*READ, "create"}, "services": {"get"}, "deployments": {"get"}}
START = {
    "workflows": {*LOOK, "create", "update", "patch"},
    "workflowtemplates": READ,
    "cronworkflows": READ,
    "services": READ,
    "deployments": READ,
    "pods": {*LOOK, "delete"},
    "pods/log": {"get"},
    "events": LOOK,
    "persistentvolumeclaims": {"get"},
    "configmaps": {"get"},
}
RIGHTS = {
    DATA: TASK_RESULTS,
    SERVING: {**TASK_RESULTS, **OPERATE, **PREPARE, **NODES},
    RECONCILE: {**OPERATE, **NODES},
    REFRESH: {**TASK_RESULTS, **REFRESHING},
    SUBMIT: {**START, **NODES},
    MODEL: {},
}
"""Written down a second time on purpose: whoever gives a right has to say so here too.

What they hide: REFRESH and SUBMIT create Workflows, SERVING Deployments and Jobs, whose pods may run as any account of
the namespace. RBAC knows no narrower right.
"""


def rights(api: Api) -> dict[str, set[str]]:
    """As the API server tells whoever asks, by resource."""
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": RULES.name, "metadata": {"name": ""}}
    answer = api.create(RULES, {**asked, "spec": {"namespace": api.namespace}})
    found: dict[str, set[str]] = {}
    for rule in answer["status"]["resourceRules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])
    return {resource: verbs for resource, verbs in found.items() if resource not in EVERYBODYS}


@pytest.mark.parametrize("account", RIGHTS)
def test_an_account_may_do_what_its_work_needs_and_nothing_else(estate, account):
    assert rights(acting_as(estate.api, account)) == RIGHTS[account]


@pytest.mark.parametrize("account", RIGHTS)
class TestNoAccount:
    def test_reads_a_secret(self, estate, account):
        with pytest.raises(Missing, match="no right to get secrets s3-credentials"):
            acting_as(estate.api, account).get(SECRET, "s3-credentials")

    def test_enters_a_container(self, estate, account):
        core = kubernetes.CoreV1Api(acting_as(estate.api, account).client)

        with pytest.raises(kubernetes.ApiException, match="Forbidden"):
            core.connect_post_namespaced_pod_exec("any", estate.namespace, command=["id"])

    def test_looks_into_another_namespace(self, estate, account):
        elsewhere = acting_as(estate.api, account)

        with pytest.raises(Missing, match="no right to list pods in namespace kube-system"):
            type(elsewhere)(elsewhere.client, "kube-system").list(POD)

    def test_gives_itself_more_rights(self, estate, account):
        api = acting_as(estate.api, account)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": estate.namespace}
        body = {**ROLE_BINDING.header, "metadata": {"name": "more"}, "roleRef": reference, "subjects": [subject]}

        with pytest.raises(Missing, match="no right to create rolebindings"):
            api.create(ROLE_BINDING, body)
        with pytest.raises(Missing, match="no right to list clusterroles"):
            api.list(CLUSTER_ROLE)

    def test_makes_a_pod_of_its_own(self, estate, account):
        spec = {"containers": [{"name": "x", "image": "x"}]}
        api = acting_as(estate.api, account)

        job = (JOB, {"template": {"spec": {**spec, "restartPolicy": "Never"}}})
        for kind, body in ((POD, spec), *(() if account == SERVING else (job,))):
            with pytest.raises(Missing, match=f"no right to create {kind.plural}"):
                api.create(kind, {**kind.header, "metadata": {"name": "own"}, "spec": body})

    def test_changes_what_the_pipeline_is(self, estate, account):
        api = acting_as(estate.api, account)

        for kind, name in ((CONFIG_MAP, "vllm-promote"), (WORKFLOW_TEMPLATE, "vllm-promote"), (CRON_WORKFLOW, "x")):
            with pytest.raises(Missing, match=f"no right to patch {kind.plural}"):
                api.patch(kind, name, {"metadata": {"labels": {"x": "y"}}})


@pytest.mark.parametrize("account", [DATA, REFRESH, SUBMIT, MODEL])
def test_who_does_not_serve_cannot_change_what_serves(estate, account):
    api = acting_as(estate.api, account)

    for kind in (SERVICE, DEPLOYMENT):
        with pytest.raises(Missing, match=f"no right to patch {kind.plural}"):
            api.patch(kind, "chat", {"metadata": {"labels": {"x": "y"}}})
        with pytest.raises(Missing, match=f"no right to delete {kind.plural}"):
            api.delete(kind, "chat")


@pytest.mark.parametrize("account", [DATA, SERVING, RECONCILE, MODEL])
def test_who_is_started_by_a_workflow_cannot_start_one(estate, account):
    body = {**WORKFLOW.header, "metadata": {"name": "own"}, "spec": {"workflowTemplateRef": {"name": "vllm-promote"}}}

    with pytest.raises(Missing, match="no right to create workflows"):
        acting_as(estate.api, account).create(WORKFLOW, body)
