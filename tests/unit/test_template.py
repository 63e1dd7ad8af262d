from pathlib import Path

import pytest

from tests.stubs.rendered import BUILDERS, containers, manifest, tasks, text
from workflows.local import spec
from workflows.pods import TemplateConfig

GOLDENS = Path(__file__).parents[1] / "goldens"


@pytest.mark.parametrize("name", BUILDERS)
def test_a_change_of_the_manifest_is_a_change_of_its_golden(name, update_goldens):
    golden = GOLDENS / f"{name}.yaml"
    if update_goldens:
        golden.write_text(text(name), encoding="utf-8")

    assert text(name) == golden.read_text(encoding="utf-8"), (
        "run pytest with --update-goldens and review the difference"
    )


def test_the_flow_is_the_one_that_the_design_draws():
    flow = [(name, task.get("depends")) for name, task in tasks("vllm-promote", "promote-model").items()]

    assert flow == [
        ("resolve", None),
        ("preflight", "resolve"),
        ("mirror", "preflight"),
        ("populate", "mirror"),
        ("checksum", "populate"),
        ("deploy", "checksum"),
        ("smoke", "deploy"),
        ("promote", "smoke"),
    ]


def test_all_that_follows_preflight_is_left_out_when_the_release_serves_already():
    _resolve, _preflight, *rest = tasks("vllm-promote", "promote-model").values()

    assert {task["when"] for task in rest} == {"'{{tasks.preflight.outputs.parameters.state}}' == 'new'"}


def test_a_rollback_by_hand_refuses_what_it_replaces_and_asks_neither_hub_nor_store_for_the_bytes():
    flow = tasks("vllm-promote-rollback", "roll-back-to-release")
    given = {p["name"]: p["value"] for p in flow["promote"]["arguments"]["parameters"]}

    assert list(flow) == ["checksum", "deploy", "smoke", "promote"]
    assert given["refuse_previous"] == "true"


def test_a_rollback_by_hand_is_told_what_served_when_it_was_asked_for_and_need_not_be():
    flow = tasks("vllm-promote-rollback", "roll-back-to-release")
    parameters = manifest("vllm-promote-rollback")["spec"]["arguments"]["parameters"]
    (served,) = (p for p in parameters if p["name"] == "served")
    told = {
        step: {p["name"]: p["value"] for p in flow[step]["arguments"]["parameters"]}["served"]
        for step in ("deploy", "smoke", "promote")
    }

    assert set(told.values()) == {"{{workflow.parameters.served}}"}
    assert served["value"] == ""


@pytest.mark.parametrize("name", BUILDERS)
def test_a_run_without_a_parameter_is_refused_because_none_has_a_value(name):
    parameters = manifest(name)["spec"]["arguments"]["parameters"]

    assert all(set(p) == {"name", "description"} for p in parameters if p["name"] != "served")


@pytest.mark.parametrize("name", BUILDERS)
def test_one_run_a_deployment(name):
    mutexes = manifest(name)["spec"]["synchronization"]["mutexes"]

    assert mutexes == [{"name": "vllm-promote-{{workflow.parameters.deployment}}"}]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_catalogs_deployments_are_offered_for_choice_where_there_are_any(name):
    built = BUILDERS[name](TemplateConfig(deployments=("chat", "code"))).to_dict()
    offered = {p["name"]: p.get("enum") for p in built["spec"]["arguments"]["parameters"]}

    assert offered["deployment"] == ["chat", "code"]
    assert {value for key, value in offered.items() if key != "deployment"} == {None}


def test_each_secret_reaches_the_steps_that_need_it_and_no_other():
    found = containers("vllm-promote")
    s3 = {n for n, t in found.items() if "s3-credentials" in str(t["container"]["envFrom"])}
    hub = {n for n, t in found.items() if "hf-token" in str(t["container"].get("env"))}
    key = {n for n, t in found.items() if "vllm-api-key" in str(t["container"].get("env"))}

    assert s3 == {"resolve", "preflight", "mirror", "populate", "deploy", "smoke", "promote", "rollback", "report"}
    assert hub == {"resolve", "mirror"}
    assert key == {"preflight", "deploy", "smoke", "promote", "rollback"}


@pytest.mark.parametrize(("one_pass", "also"), [(True, {"mirror": False}), (False, {})])
def test_who_brings_bytes_to_the_volume_may_write_there_and_mirror_only_where_it_shall(one_pass, also):
    templates = BUILDERS["vllm-promote"](TemplateConfig(one_pass=one_pass)).to_dict()["spec"]["templates"]
    mounts = {
        t["name"]: mount.get("readOnly", False)
        for t in templates
        if "container" in t
        for mount in t["container"]["volumeMounts"]
        if mount["name"] == "models"
    }

    assert mounts == {"preflight": True, "populate": False, "checksum": True, **also}


@pytest.mark.parametrize("name", BUILDERS)
def test_the_local_engine_takes_it(name):
    workflow = spec.parse(manifest(name))

    assert workflow.name == name
    assert workflow.on_exit is not None
    assert list(workflow.on_exit.tasks) == ["rollback", "report"]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_companys_own_authorities_reach_every_step_and_need_not_be_there(name):
    (volume,) = (v for v in manifest(name)["spec"]["volumes"] if v["name"] == "ca")

    assert volume["configMap"] == {"name": "vllm-promote-ca", "optional": True}
    for template in containers(name).values():
        (mount,) = (m for m in template["container"]["volumeMounts"] if m["name"] == "ca")
        assert mount == {"name": "ca", "mountPath": "/etc/vllm-promote-ca", "readOnly": True}
