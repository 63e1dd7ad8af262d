"""What reaches what of the pods that we have made, by the policies that we install: both as they are rendered.

The tests' own cluster heeds no NetworkPolicy, so there nothing of this can be seen.
"""

from pathlib import Path

import pytest

from steps.core.workload import PORT, Where, deployment
from tests.stubs.installed import configuration
from tests.stubs.scene import make_release
from tests.unit.test_network import HERE, OUTSIDE, STRANGER, reaches
from workflows.cluster.objects import objects

STORE_PORT = 9000
NOBODYS_PORTS = (22, 25, 80, 3306, 8080, 10250)
"""None that a step has work at."""


@pytest.fixture
def installed(tmp_path: Path):
    return objects(configuration(tmp_path, aws_endpoint_url=f"http://s3.example:{STORE_PORT}"))


@pytest.fixture
def policies(installed):
    return [body for body in installed if body["kind"] == "NetworkPolicy"]


@pytest.fixture
def pipeline(installed):
    """Every pod that Argo or a clock makes, by what makes it."""
    made = {}
    for body in installed:
        if body["kind"] == "WorkflowTemplate":
            shared = body["spec"].get("podMetadata", {}).get("labels", {})
            for template in body["spec"]["templates"]:
                if "container" in template:
                    own = template.get("metadata", {}).get("labels", {})
                    made[f"{body['metadata']['name']}: {template['name']}"] = _pod({**shared, **own})
        elif body["kind"] == "CronJob":
            template = body["spec"]["jobTemplate"]["spec"]["template"]
            made[body["metadata"]["name"]] = _pod(template["metadata"]["labels"])
    return made


@pytest.fixture
def server():
    made = deployment(make_release("1"), Where(claim="models", volume="/models"))
    return _pod(made["spec"]["template"]["metadata"]["labels"])


def _pod(labels):
    return {"namespace": HERE, "labels": labels}


def test_there_are_pods_of_every_kind_to_look_at(pipeline):
    assert {name.partition(":")[0] for name in pipeline} == {
        "vllm-promote",
        "vllm-promote-rollback",
        "vllm-promote-refresh",
        "vllm-promote-reconcile",
        "vllm-promote-audit",
    }


def test_every_pod_of_the_pipeline_reaches_what_it_works_with_and_nothing_else_outside(policies, pipeline):
    for name, pod in pipeline.items():
        reached = [p for p in (443, STORE_PORT, *NOBODYS_PORTS) if reaches(policies, pod, OUTSIDE, p)]
        assert reached == [443, STORE_PORT], name


def test_a_model_server_reaches_nothing_outside_and_looks_up_no_name(policies, server):
    for protocol in ("TCP", "UDP"):
        ports = (53, 443, STORE_PORT, PORT, *NOBODYS_PORTS)
        assert [p for p in ports if reaches(policies, server, OUTSIDE, p, protocol)] == []


def test_a_model_server_is_reached_at_its_port_and_no_pod_of_the_pipeline_at_any(policies, pipeline, server):
    ports = (443, PORT, *NOBODYS_PORTS)
    assert [p for p in ports if reaches(policies, STRANGER, server, p)] == [PORT]
    for name, pod in pipeline.items():
        assert [p for p in ports if reaches(policies, STRANGER, pod, p)] == [], name
