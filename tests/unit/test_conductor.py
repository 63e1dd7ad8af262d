"""What the cluster suite's stand-in for Argo's controller writes is read back as the run that it was."""

from dataclasses import replace

import pytest

from steps.core import argo
from steps.core.run import Node, Run
from tests.cluster.conductor import status
from tests.cluster.conductor.attempt import PodAttempt
from tests.cluster.conductor.pod import Owner, pod
from tests.stubs import rendered
from tests.stubs.kube import FakeApi
from tests.stubs.runs import attempt, promoted, rolled_back, run
from workflows.local.attempt import Launch


def read_back(run: Run, **spec: str) -> Run:
    metadata = {"name": run.name, "uid": run.uid, "creationTimestamp": "2026-11-22T00:00:00Z"}
    stored = {"storedWorkflowTemplateSpec": rendered.manifest("vllm-promote")["spec"]}
    workflow = argo.workflow(run.template, run.parameters, name=run.name)
    workflow["spec"] |= spec
    return argo.run({**workflow, "metadata": metadata, "status": {**status.change(run)["status"], **stored}})


def shape(node: Node) -> tuple[object, ...]:
    attempts = [(a.number, a.phase, a.exit_code, a.message) for a in node.attempts]
    return node.name, node.phase, attempts, dict(node.outputs), node.on_exit


def in_shares() -> Run:
    whole = promoted("Succeeded")
    shares = [replace(n, name=f"mirror({s}:{s + 1}-of-2)") for n in whole.nodes if n.name == "mirror" for s in range(2)]
    at = next(number for number, n in enumerate(whole.nodes) if n.name == "mirror")
    group = Node(name="mirror", phase="Succeeded")
    return replace(whole, nodes=(*whole.nodes[:at], group, *shares, *whole.nodes[at + 1 :]))


@pytest.mark.parametrize(
    "run",
    [promoted("Succeeded"), rolled_back(phase="Failed"), in_shares()],
    ids=["promoted", "rolled back", "in shares"],
)
def test_a_run_written_as_argo_writes_it_is_read_back_as_it_was(run):
    again = read_back(replace(run, finished=run.started + 99))

    assert again.phase == run.phase
    assert [shape(n) for n in again.nodes if n.attempts] == [shape(n) for n in run.nodes if n.attempts]


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_step_that_is_ended_is_told_in_argos_words_and_how_it_ended_is_open_until_the_run_is_over(tmp_path, strategy):
    launch = Launch(
        name="mirror.0",
        template="mirror",
        inputs={},
        argv=(),
        environ={},
        outputs=(),
        directory=tmp_path,
        cwd=tmp_path,
        deadline_seconds=None,
        grace_seconds=0.0,
    )
    body = {"metadata": {"name": "run-mirror"}, "status": {"phase": "Running"}}
    made = PodAttempt(FakeApi(), launch, body, tmp_path, lambda: strategy)

    made.stop()
    ended = made.poll()

    assert ended is not None
    stopped = attempt(code=ended.exit_code, message=ended.message)
    node = Node(name="mirror", phase="Failed", attempts=(replace(stopped, phase=ended.phase, finished=9.0),))
    during = read_back(run(node), shutdown=strategy)
    after = read_back(replace(run(node, phase="Failed"), finished=99.0), shutdown=strategy)
    told = f"Stopped with strategy '{strategy}'"
    for seen, finished in ((during, None), (after, 9.0)):
        assert [(a.finished, a.message) for n in seen.nodes for a in n.attempts] == [(finished, told)]


def test_a_steps_pod_has_what_its_template_says_and_mounts_no_volume_that_it_does_not_use():
    manifest = rendered.manifest("vllm-promote")
    inputs = {"model": "org/chat", "revision": "main", "deployment": "chat"}

    made = pod(manifest, "resolve", inputs, Owner("run-1", "uid-1"), "resolve(0)")

    main, wait = made["spec"]["containers"]
    assert main["args"] == ["--model=org/chat", "--revision=main", "--deployment=chat"]
    assert "models" not in {v["name"] for v in made["spec"]["volumes"]}
    assert made["metadata"]["labels"]["workflows.argoproj.io/workflow"] == "run-1"
    assert wait["securityContext"]["capabilities"] == {"drop": ["ALL"]}
