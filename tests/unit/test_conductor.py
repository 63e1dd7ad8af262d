"""What the cluster suite's stand-in for Argo's controller writes is read back as the run that it was."""

from dataclasses import replace

import pytest

from steps.core import argo
from steps.core.run import Node, Run
from tests.cluster.conductor import status
from tests.cluster.conductor.pod import Owner, pod
from tests.stubs import rendered
from tests.stubs.runs import promoted, rolled_back


def read_back(run: Run) -> Run:
    metadata = {"name": run.name, "uid": run.uid, "creationTimestamp": "2026-11-22T00:00:00Z"}
    stored = {"storedWorkflowTemplateSpec": rendered.manifest("vllm-promote")["spec"]}
    workflow = argo.workflow(run.template, run.parameters, name=run.name)
    return argo.run({**workflow, "metadata": metadata, "status": {**status.change(run)["status"], **stored}})


def shape(node: Node) -> tuple[object, ...]:
    attempts = [(a.number, a.phase, a.exit_code, a.message) for a in node.attempts]
    return node.name, node.phase, attempts, dict(node.outputs), node.on_exit


@pytest.mark.parametrize("run", [promoted("Succeeded"), rolled_back(phase="Failed")], ids=["promoted", "rolled back"])
def test_a_run_written_as_argo_writes_it_is_read_back_as_it_was(run):
    again = read_back(replace(run, finished=run.started + 99))

    assert again.phase == run.phase
    assert [shape(n) for n in again.nodes if n.attempts] == [shape(n) for n in run.nodes if n.attempts]


def test_a_steps_pod_has_what_its_template_says_and_mounts_no_volume_that_it_does_not_use():
    manifest = rendered.manifest("vllm-promote")
    inputs = {"deployment": "chat", "release_id": "ab12ab12ab12"}

    made = pod(manifest, "mirror", inputs, Owner("run-1", "uid-1"), "mirror(0)")

    main, wait = made["spec"]["containers"]
    assert main["args"] == ["--deployment=chat", "--release-id=ab12ab12ab12"]
    assert "models" not in {v["name"] for v in made["spec"]["volumes"]}
    assert made["metadata"]["labels"]["workflows.argoproj.io/workflow"] == "run-1"
    assert wait["securityContext"]["capabilities"] == {"drop": ["ALL"]}
