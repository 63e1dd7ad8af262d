from typing import Any

import pytest
from hera.workflows import RetryStrategy, WorkflowTemplate

from steps.contracts import (
    CHECKSUM,
    MIRROR,
    POPULATE,
    PREFLIGHT,
    REPORT,
    RESOLVE,
    ROLLBACK,
    SMOKE,
    MirrorInputs,
    PopulateInputs,
    PreflightInputs,
    ReportInputs,
    ResolveInputs,
    ResolveOutputs,
    RollbackInputs,
)
from steps.step import Step
from workflows import bridge
from workflows.bridge import ITEM, Flow
from workflows.local import retry as engine_retry

ASKED = ResolveInputs(model="{{workflow.parameters.model}}", revision="main", deployment="chat")


def depends(flow: Flow) -> dict[str, object]:
    return {task.name: task.depends for task in flow.dag().tasks}


def rendered(step: Step[Any, Any], retry: RetryStrategy) -> dict[str, Any]:
    container = bridge.container(step, image="i", retry_strategy=retry)
    template: dict[str, Any] = WorkflowTemplate(name="w", templates=[container]).to_dict()["spec"]["templates"][0]
    return template


def mirrored(resolved: ResolveOutputs) -> MirrorInputs:
    return MirrorInputs(deployment=resolved.deployment, release_id=resolved.release_id)


def looked_at(resolved: ResolveOutputs) -> PreflightInputs:
    return PreflightInputs(deployment=resolved.deployment, release_id=resolved.release_id, run="r", owner="o")


def test_a_task_waits_for_those_whose_outputs_it_is_given():
    flow = Flow("f")
    flow.call(MIRROR, mirrored(flow.call(RESOLVE, ASKED)))

    assert depends(flow) == {"resolve": None, "mirror": "resolve"}


def test_a_task_waits_for_those_that_its_when_asks_about():
    flow = Flow("f")
    resolved = flow.call(RESOLVE, ASKED)
    found = flow.call(PREFLIGHT, looked_at(resolved))
    flow.call(MIRROR, mirrored(resolved), when=f"'{found.state}' == 'new'")

    assert depends(flow)["mirror"] == "preflight"


def test_what_is_waited_for_anyway_is_not_named_again():
    flow = Flow("f")
    resolved = flow.call(RESOLVE, ASKED)
    flow.call(MIRROR, mirrored(resolved))
    flow.call(POPULATE, PopulateInputs(deployment=resolved.deployment, release_id="r"), after=[MIRROR])

    assert depends(flow)["populate"] == "mirror"


def test_two_branches_are_both_waited_for():
    flow = Flow("f")
    resolved = flow.call(RESOLVE, ASKED)
    flow.call(PREFLIGHT, looked_at(resolved))
    flow.call(MIRROR, mirrored(resolved))
    flow.call(POPULATE, PopulateInputs(deployment="chat", release_id="r"), after=[PREFLIGHT, MIRROR])

    assert depends(flow)["populate"] == "preflight && mirror"


def test_a_last_task_runs_however_the_one_before_ended():
    flow = Flow("f")
    flow.call(ROLLBACK, RollbackInputs(deployment="chat", run="r", owner="o"))
    ended = ReportInputs(
        model="m", revision="main", deployment="chat", run="r", owner="o", status="", rollback_status=""
    )
    flow.finally_call(REPORT, ended, after=ROLLBACK)

    assert depends(flow)["report"] == ("rollback.Succeeded || rollback.Failed || rollback.Errored || rollback.Skipped")


def test_a_reference_that_was_computed_with_is_refused():
    flow = Flow("f")
    resolved = flow.call(RESOLVE, ASKED)

    with pytest.raises(ValueError, match="pass a reference whole"):
        flow.call(MIRROR, MirrorInputs(deployment="x-" + resolved.deployment, release_id="r"))


def test_a_reference_to_a_task_of_another_flow_is_refused():
    resolved = Flow("other").call(RESOLVE, ASKED)

    with pytest.raises(ValueError, match="mirror refers to resolve"):
        Flow("f").call(MIRROR, mirrored(resolved))


def test_an_input_without_default_stays_required():
    built = rendered(CHECKSUM, bridge.retry(5, 15))
    inputs = {p["name"]: p.get("default") for p in built["inputs"]["parameters"]}

    assert inputs["model"] is None
    assert inputs["previous_model"] == ""  # empty, not absent: that is the difference


def test_only_outputs_with_a_default_stand_for_a_skipped_step():
    built = rendered(SMOKE, bridge.retry(5, 15))
    sources = {p["name"]: p["valueFrom"] for p in built["outputs"]["parameters"]}

    assert sources["proof"] == {"path": "/tmp/outputs/proof", "default": ""}


def test_waiting_grows_up_to_a_cap_and_never_starts_above_it():
    usual = rendered(SMOKE, bridge.retry(5, 15))["retryStrategy"]
    slow = rendered(SMOKE, bridge.retry(2, 600))["retryStrategy"]

    assert usual["backoff"] == {"duration": "15s", "factor": 5, "cap": "300s"}
    assert slow["backoff"]["cap"] == "600s"


def test_the_local_engine_reads_the_expression_as_it_is_meant():
    known = engine_retry.parse(rendered(SMOKE, bridge.retry(5, 0.5))["retryStrategy"])

    assert known.exit_codes == frozenset(bridge.RETRYABLE)
    assert known.status == "Error"
    assert (known.limit, known.base_seconds, known.factor, known.cap_seconds) == (5, 0.5, 5, 300)


def test_a_task_for_each_item_of_an_output_waits_for_who_writes_it():
    flow = Flow("f")
    resolved = flow.call(RESOLVE, ASKED)
    share = MirrorInputs(deployment=resolved.deployment, release_id=resolved.release_id, shard=ITEM)
    flow.call_each(MIRROR, share, items=resolved.shards)
    built: dict[str, Any] = WorkflowTemplate(name="w", templates=[flow.dag()]).to_dict()["spec"]["templates"][0]
    [_, mirror] = built["dag"]["tasks"]

    assert (mirror["depends"], mirror["withParam"]) == ("resolve", "{{tasks.resolve.outputs.parameters.shards}}")
    assert {"name": "shard", "value": "{{item}}"} in mirror["arguments"]["parameters"]
