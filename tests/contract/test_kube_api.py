"""What every Api does alike: the one in memory here, a real API server's in tests/cluster/suite."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from steps.clients.kube.api import CONFIG_MAP, DEPLOYMENT, FIELD_MANAGER, SERVICE, Api, Json
from steps.core import labels, managed, meddling
from steps.errors import Conflict, Missing
from tests.stubs.kube import FakeApi

NAME = "contract"
Edit = Callable[..., Json]
"""Somebody else's patch: kind, name, change, manager, and the subresource where there is one."""


def a_map(version="", name=NAME, **data):
    metadata = {"name": name, "labels": {"test": "contract"}, **({"resourceVersion": version} if version else {})}
    return {**CONFIG_MAP.header, "metadata": metadata, "data": data}


def a_service(**selector):
    spec = {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 8000, "protocol": "TCP"}]}
    return {**SERVICE.header, "metadata": {"name": NAME}, "spec": spec}


def version_of(found):
    return found["metadata"]["resourceVersion"]


@pytest.fixture
def api() -> Api:
    return FakeApi()


@pytest.fixture
def edit(api: FakeApi) -> Edit:
    return api.edit


def a_deployment(image):
    pod = {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": [{"name": "vllm", "image": image}]}}
    stamps = {labels.REPLICAS: "0"}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "template": pod}
    return {**DEPLOYMENT.header, "metadata": {"name": NAME, "annotations": stamps}, "spec": spec}


def test_who_set_a_field_last_is_kept_with_when(api, edit):
    made = api.create(DEPLOYMENT, a_deployment("ours:1"))
    assert meddling.changes(made, made, FIELD_MANAGER) == ()
    edit(DEPLOYMENT, NAME, {"spec": {"template": a_deployment("other:2")["spec"]["template"]}}, "kubectl-edit")
    edit(DEPLOYMENT, NAME, {"spec": {"replicas": 1}}, "kubectl", "scale")
    replicas, image = (c.sentence for c in meddling.changes(api.get(DEPLOYMENT, NAME), made, FIELD_MANAGER))
    said = r"replicas of Deployment contract were changed from 0 to 1 by kubectl through scale"
    assert re.fullmatch(said, replicas)
    assert re.match(r"spec\.template\.spec\.containers.* of Deployment contract was changed from .*ours:1", image)
    assert re.search(r"to .*other:2.* by kubectl-edit at 20", image)


def test_nobody_s_name_is_kept_of_a_scale_to_zero(api, edit):
    body = a_deployment("ours:1")
    body["spec"]["replicas"], body["metadata"]["annotations"] = 1, {labels.REPLICAS: "1"}
    made = api.create(DEPLOYMENT, body)
    edit(DEPLOYMENT, NAME, {"spec": {"replicas": 0}}, "kubectl", "scale")
    (change,) = meddling.changes(api.get(DEPLOYMENT, NAME), made, FIELD_MANAGER)
    assert "were changed from 1 to 0 by somebody, as `kubectl scale` does (the API server keeps no name" in (
        change.sentence
    )


def test_what_we_set_back_is_ours_and_what_is_set_to_what_it_is_stays_with_whom_it_was(api, edit):
    made = api.create(DEPLOYMENT, a_deployment("ours:1"))
    edit(DEPLOYMENT, NAME, {"spec": {"replicas": 1}}, "kubectl", "scale")
    api.patch(DEPLOYMENT, NAME, {"spec": {"replicas": 0}})
    edit(DEPLOYMENT, NAME, {"spec": {"replicas": 0}}, "kubectl", "scale")
    found = api.get(DEPLOYMENT, NAME)
    assert managed.others(found, FIELD_MANAGER, ("spec",)) == {}
    assert meddling.digest(found) == meddling.digest(made)


def test_a_deployment_s_generation_is_of_its_annotations_as_well(api):
    made = api.create(DEPLOYMENT, a_deployment("ours:1"))
    noted = api.patch(DEPLOYMENT, NAME, {"metadata": {"annotations": {"a": "1"}}})
    assert noted["metadata"]["generation"] > made["metadata"]["generation"]
    assert noted["spec"] == made["spec"]


def test_what_is_applied_by_force_is_ours_and_what_is_removed_is_nobody_s(api, edit):
    api.apply(CONFIG_MAP, a_map(a="1", b="1"))
    edit(CONFIG_MAP, NAME, {"data": {"a": "2", "b": "2"}}, "kubectl-edit")
    assert [*managed.others(api.get(CONFIG_MAP, NAME), FIELD_MANAGER, ("data",))] == [("data", "a"), ("data", "b")]
    api.apply(CONFIG_MAP, a_map(a="3", b="3"), force=True)
    assert managed.others(api.get(CONFIG_MAP, NAME), FIELD_MANAGER, ("data",)) == {}
    edit(CONFIG_MAP, NAME, {"data": {"c": "1"}}, "kubectl-edit")
    edit(CONFIG_MAP, NAME, {"data": {"c": None}}, "kubectl-patch")
    assert managed.others(api.get(CONFIG_MAP, NAME), FIELD_MANAGER, ("data",)) == {}


def test_what_is_created_is_there_and_nothing_else_is(api):
    made = api.create(CONFIG_MAP, a_map(a="1"))
    assert made["metadata"]["uid"]
    assert api.get(CONFIG_MAP, NAME) == made
    assert api.get(CONFIG_MAP, "another") is None


def test_a_name_is_given_to_what_has_only_the_beginning_of_one(api):
    body = {**CONFIG_MAP.header, "metadata": {"generateName": "contract-", "labels": {"test": "contract"}}}
    names = {api.create(CONFIG_MAP, body)["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("contract-") for name in names)


def test_what_exists_is_not_created_again(api):
    api.create(CONFIG_MAP, a_map(a="1"))
    with pytest.raises(Conflict, match=NAME):
        api.create(CONFIG_MAP, a_map(a="2"))
    assert api.get(CONFIG_MAP, NAME)["data"] == {"a": "1"}


def test_a_list_holds_what_the_labels_and_fields_say(api):
    api.create(CONFIG_MAP, a_map())
    api.create(CONFIG_MAP, a_map(name="contract-2"))

    def names(**selectors):
        return [found["metadata"]["name"] for found in api.list(CONFIG_MAP, **selectors)]

    assert names(labels="test=contract") == [NAME, "contract-2"]
    assert names(labels="test=contract,test!=contract") == []
    assert names(labels="test=contract,other!=x") == [NAME, "contract-2"]
    assert names(labels="test", fields=f"metadata.name={NAME}") == [NAME]
    assert names(labels="test=another") == []


def test_what_was_changed_meanwhile_is_not_replaced(api):
    read = api.create(CONFIG_MAP, a_map(a="1"))
    api.replace(CONFIG_MAP, a_map(version_of(read), a="2"))
    with pytest.raises(Conflict, match=NAME):
        api.replace(CONFIG_MAP, a_map(version_of(read), a="3"))
    assert api.get(CONFIG_MAP, NAME)["data"] == {"a": "2"}


def test_a_patch_changes_what_it_names_and_removes_what_it_calls_null(api):
    api.create(CONFIG_MAP, a_map(a="1", b="1"))
    changed = api.patch(CONFIG_MAP, NAME, {"data": {"a": None, "c": "1"}})
    assert changed["data"] == {"b": "1", "c": "1"}


def test_a_patch_that_names_a_version_is_for_that_one_alone(api):
    read = api.create(CONFIG_MAP, a_map(a="1"))
    changed = api.patch(CONFIG_MAP, NAME, {"metadata": {"resourceVersion": version_of(read)}, "data": {"a": "2"}})
    assert changed["data"] == {"a": "2"}
    with pytest.raises(Conflict, match=NAME):
        api.patch(CONFIG_MAP, NAME, {"metadata": {"resourceVersion": version_of(read)}, "data": {"a": "3"}})
    assert api.get(CONFIG_MAP, NAME) == changed


def test_a_change_that_changes_nothing_makes_no_new_version(api):
    read = api.create(CONFIG_MAP, a_map(a="1"))
    assert version_of(api.patch(CONFIG_MAP, NAME, {"data": {"a": "1"}})) == version_of(read)


def test_to_change_what_is_gone_is_a_conflict(api):
    gone = api.create(CONFIG_MAP, a_map(a="1"))
    api.delete(CONFIG_MAP, NAME)
    body = a_map(version_of(gone), a="2")
    with pytest.raises(Conflict, match=NAME):
        api.replace(CONFIG_MAP, body)
    with pytest.raises(Conflict, match=NAME):
        api.patch(CONFIG_MAP, NAME, {"metadata": {"resourceVersion": version_of(gone)}, "data": {"a": "2"}})
    with pytest.raises(Conflict, match=NAME):
        api.apply(CONFIG_MAP, {**body, "metadata": {**body["metadata"], "uid": gone["metadata"]["uid"]}})
    assert api.get(CONFIG_MAP, NAME) is None


def test_what_is_gone_is_applied_anew_by_those_who_name_no_uid(api):
    gone = api.create(CONFIG_MAP, a_map(a="1"))
    api.delete(CONFIG_MAP, NAME)
    assert api.apply(CONFIG_MAP, a_map(version_of(gone), a="2"))["metadata"]["uid"] != gone["metadata"]["uid"]


def test_of_sixteen_who_write_on_the_same_condition_one_wins(api):
    read = api.create(CONFIG_MAP, a_map())
    together, won = threading.Barrier(16), []

    def write(number):
        together.wait()
        with suppress(Conflict):
            api.patch(
                CONFIG_MAP, NAME, {"metadata": {"resourceVersion": version_of(read)}, "data": {"by": str(number)}}
            )
            won.append(str(number))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))
    assert [api.get(CONFIG_MAP, NAME)["data"]["by"]] == won


def test_what_is_applied_is_there_and_what_is_applied_no_longer_is_not(api):
    api.apply(CONFIG_MAP, a_map(a="1", b="1"))
    assert api.apply(CONFIG_MAP, a_map(a="2"))["data"] == {"a": "2"}
    assert api.get(CONFIG_MAP, NAME)["data"] == {"a": "2"}


def test_what_is_applied_for_trial_stays_as_it_was(api):
    applied = api.apply(CONFIG_MAP, a_map(a="1"))
    assert api.apply(CONFIG_MAP, a_map(a="2"), dry_run=True)["data"] == {"a": "2"}
    assert api.get(CONFIG_MAP, NAME) == applied
    assert api.apply(CONFIG_MAP, a_map(name="contract-2"), dry_run=True)["metadata"]["name"] == "contract-2"
    assert api.get(CONFIG_MAP, "contract-2") is None


def test_what_is_applied_on_the_condition_of_a_version_is_for_that_one_alone(api):
    read = api.apply(CONFIG_MAP, a_map(a="1"))
    api.apply(CONFIG_MAP, a_map(version_of(read), a="2"))
    with pytest.raises(Conflict, match=NAME):
        api.apply(CONFIG_MAP, a_map(version_of(read), a="3"), force=True)
    assert api.get(CONFIG_MAP, NAME)["data"] == {"a": "2"}


def test_a_service_s_selector_is_applied_as_a_whole(api):
    api.create(SERVICE, a_service(app="before", tier="a"))
    assert api.apply(SERVICE, a_service(app="after"), force=True)["spec"]["selector"] == {"app": "after"}


def test_what_is_deleted_is_gone_and_deleting_it_again_is_nothing(api):
    api.create(CONFIG_MAP, a_map())
    api.delete(CONFIG_MAP, NAME)
    api.delete(CONFIG_MAP, NAME)
    assert api.get(CONFIG_MAP, NAME) is None


def test_what_was_changed_or_made_anew_meanwhile_is_not_deleted(api):
    first = api.create(CONFIG_MAP, a_map())
    api.patch(CONFIG_MAP, NAME, {"data": {"a": "1"}})
    with pytest.raises(Conflict, match=NAME):
        api.delete(CONFIG_MAP, NAME, version=version_of(first))
    api.delete(CONFIG_MAP, NAME)
    api.create(CONFIG_MAP, a_map())
    with pytest.raises(Conflict, match=NAME):
        api.delete(CONFIG_MAP, NAME, uid=first["metadata"]["uid"])
    assert api.get(CONFIG_MAP, NAME)


def test_a_watch_shows_what_changes_from_the_version_on_that_was_read(api):
    read = api.create(CONFIG_MAP, a_map(a="1"))
    api.patch(CONFIG_MAP, NAME, {"data": {"a": "2"}})
    watch = api.watch(CONFIG_MAP, NAME, version_of(read), 10)
    assert next(watch)["data"] == {"a": "2"}
    api.create(CONFIG_MAP, a_map(name="contract-2"))
    api.patch(CONFIG_MAP, NAME, {"data": {"a": "3"}})
    assert next(watch)["data"] == {"a": "3"}
    api.delete(CONFIG_MAP, NAME)
    with pytest.raises(Missing, match="deleted"):
        next(watch)


def test_a_watch_of_what_does_not_change_ends(api):
    read = api.create(CONFIG_MAP, a_map())
    assert list(api.watch(CONFIG_MAP, NAME, version_of(read), 1)) == []


def test_a_pod_that_is_not_there_has_no_log(api):
    assert api.log("not-there", "vllm", 5) == ""
    assert api.log_head("not-there", "vllm", 100) == ""


class TestOfTheFake:
    """What a test brings about with it."""

    def test_a_right_that_is_taken_away_is_missed(self):
        api = FakeApi(forbidden={("list", "nodes")}, undefined={"workflows"})
        from steps.clients.kube.api import NODE, WORKFLOW
        from steps.clients.kube.errors import Forbidden, UnknownKind

        with pytest.raises(Forbidden):
            api.list(NODE)
        with pytest.raises(UnknownKind):
            api.list(WORKFLOW)

    def test_what_somebody_else_has_written_is_applied_over_by_force_alone(self):
        api = FakeApi()
        api.apply(CONFIG_MAP, a_map(a="1"))
        api.edit(CONFIG_MAP, NAME, {"data": {"a": "2"}}, "kubectl-edit")
        with pytest.raises(Conflict, match=r"kubectl-edit.*\.data\.a"):
            api.apply(CONFIG_MAP, a_map(a="1"))
        assert api.apply(CONFIG_MAP, a_map(a="1"), force=True)["data"] == {"a": "1"}

    def test_dependents_end_with_what_they_depend_on(self):
        api = FakeApi()
        owner = api.create(DEPLOYMENT, {"metadata": {"name": "d"}, "spec": {}})
        reference = {"ownerReferences": [{"uid": owner["metadata"]["uid"]}]}
        api.create(CONFIG_MAP, {"metadata": {"name": NAME, **reference}})
        api.delete(DEPLOYMENT, "d")
        assert api.get(CONFIG_MAP, NAME) is None
