from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.core.refresh import Found
from steps.entry import parse
from steps.scheduled import AUDIT, RECONCILE, AuditInputs
from tests.stubs.rendered import manifest
from workflows import cron
from workflows.local import spec
from workflows.pods import TemplateConfig

GOLDEN = Path(__file__).parents[1] / "goldens" / "cron.yaml"
OBJECTS = cron.objects(TemplateConfig(), "models")
TEMPLATE, CRON, JOB, AUDIT_JOB = OBJECTS


def names(holder: dict[str, Any]) -> list[str]:
    return [p["name"] for p in holder.get("arguments", {}).get("parameters", ())]


def test_a_change_of_what_a_clock_starts_is_a_change_of_its_golden(update_goldens):
    text = yaml.safe_dump_all(OBJECTS, sort_keys=False, width=120)
    if update_goldens:
        GOLDEN.write_text(text, encoding="utf-8")

    assert text == GOLDEN.read_text(encoding="utf-8"), "run pytest with --update-goldens and review the difference"


def test_the_cron_gives_every_argument_a_value_because_a_night_without_one_would_be_silent():
    given = CRON["spec"]["workflowSpec"]

    assert given["workflowTemplateRef"] == {"name": TEMPLATE["metadata"]["name"]}
    assert names(given) == names(TEMPLATE["spec"])
    assert all(p["value"] for p in given.get("arguments", {}).get("parameters", ()))


def test_so_does_what_it_promotes():
    found = Found(deployment="d", model="o/n", revision="main", refresh="promote", commit="c", release_id="r")

    assert list(found.parameters) == names(manifest("vllm-promote")["spec"])
    assert all(found.parameters.values())


def test_refresh_has_its_turn_however_discover_ended_and_is_told_nothing_that_only_a_success_could_tell():
    dag, *_ = TEMPLATE["spec"]["templates"]
    first, second = dag["dag"]["tasks"]

    assert (first["name"], second["name"]) == ("discover", "refresh")
    assert second["depends"] == "discover.Succeeded || discover.Failed || discover.Errored || discover.Skipped"
    assert "discover" not in str(second["arguments"])


def test_each_has_the_rights_that_it_needs_and_no_other():
    accounts = {t["name"]: t.get("serviceAccountName") for t in TEMPLATE["spec"]["templates"] if "container" in t}

    assert accounts == {"discover": "vllm-promote-data", "refresh": "vllm-promote-refresh"}
    assert pod()["serviceAccountName"] == "vllm-promote-reconcile"


def test_the_local_engine_takes_the_refresh():
    assert list(spec.parse(TEMPLATE).main.tasks) == ["discover", "refresh"]


def pod(job: dict[str, Any] = JOB) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def test_the_reconciler_s_arguments_are_its_contract_s():
    (container,) = pod()["containers"]
    inputs = parse(RECONCILE, container["args"])

    assert container["command"] == ["python", "-m", RECONCILE.module]
    assert inputs.owner == "$(POD_UID)"
    assert {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}} in container["env"]


def test_the_reconciler_is_given_neither_hub_nor_models_and_needs_no_store():
    assert {v["name"] for v in pod()["volumes"]} == {"tmp", "ca"}
    (container,) = pod()["containers"]
    (s3,) = (source["secretRef"] for source in container["envFrom"] if "secretRef" in source)
    assert s3 == {"name": "s3-credentials", "optional": True}  # for what a candidate said before it was ended
    assert "hf-token" not in str(JOB)
    assert "{{" not in str(JOB)


def test_a_reconciler_that_is_stuck_keeps_no_other_from_its_turn_and_a_failed_one_waits_for_the_next():
    job = JOB["spec"]["jobTemplate"]["spec"]

    assert JOB["spec"]["concurrencyPolicy"] == "Allow"
    assert (job["backoffLimit"], pod()["restartPolicy"]) == (0, "Never")
    assert job["activeDeadlineSeconds"] > 0


def test_no_more_than_a_few_hours_of_jobs_wait_for_a_node_at_a_time():
    minutes = int(JOB["spec"]["schedule"].partition(" ")[0].removeprefix("*/"))

    assert JOB["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] / (60 * minutes) <= 18


def test_an_audit_has_a_turn_only_where_one_is_asked_for_and_then_changes_nothing():
    asked = cron.audit_job(TemplateConfig(audit_schedule="0 5 * * 0"), "models")["spec"]
    (container,) = pod(AUDIT_JOB)["containers"]

    assert (AUDIT_JOB["spec"]["suspend"], AUDIT_JOB["spec"]["schedule"]) == (True, "0 0 31 2 *")
    assert (asked["suspend"], asked["schedule"], asked["concurrencyPolicy"]) == (False, "0 5 * * 0", "Forbid")
    assert parse(AUDIT, container["args"]) == AuditInputs(everything=True, store=True, volume=True, repair=False)


def test_an_audit_moves_bytes_and_so_has_no_right_to_what_serves():
    (container,) = pod(AUDIT_JOB)["containers"]

    assert pod(AUDIT_JOB)["serviceAccountName"] == "vllm-promote-data"
    assert container["image"] == TemplateConfig().transfer_image
    assert {"name": "models", "mountPath": "/models"} in container["volumeMounts"]
    assert "s3-credentials" in str(AUDIT_JOB)


def test_more_than_one_failed_night_can_be_looked_at():
    assert CRON["spec"]["failedJobsHistoryLimit"] > 1
    assert CRON["spec"]["startingDeadlineSeconds"] >= 3600


@pytest.mark.parametrize("found", OBJECTS, ids=lambda found: f"{found['kind']} {found['metadata']['name']}")
def test_each_is_known_for_ours(found):
    assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "vllm-promote"
    assert found["metadata"]["namespace"] == "models"


def test_a_night_on_which_the_controller_was_down_is_made_up_for_once_and_none_begins_beside_another():
    assert CRON["spec"]["startingDeadlineSeconds"] >= 3600
    assert CRON["spec"]["concurrencyPolicy"] == "Forbid"


def test_nothing_waits_for_an_approval_so_no_night_is_left_out_because_of_one():
    begun = [TEMPLATE, manifest("vllm-promote"), manifest("vllm-promote-rollback")]

    assert [t["name"] for body in begun for t in body["spec"]["templates"] if "suspend" in t] == []
    assert all(t.get("activeDeadlineSeconds") for t in TEMPLATE["spec"]["templates"] if "container" in t)
