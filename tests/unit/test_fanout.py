"""A task that is done for each item of a list: what the local engine makes of it, step by step of our own template.

That Argo makes the same of it is the business of the table in `tests.cluster.scripted.scenarios`.
"""

import pytest

from steps.core.run import Run
from steps.errors import BadInput
from tests.cluster.scripted.played import RUN, play_quickly
from tests.cluster.scripted.scenario import fails
from tests.cluster.scripted.scenarios import TABLE
from tests.stubs.manifests import manifest, output, task
from workflows.local import fanout, spec
from workflows.local.substitute import Unresolved

SHARES = [f"mirror({n}:{n + 1}-of-3)" for n in range(3)]


def played(name: str, home) -> list[Run]:
    return play_quickly(TABLE[name], home)


def mirror(run: Run) -> dict[str, str]:
    return {node.name: node.phase for node in run.nodes if node.name.startswith("mirror")}


def codes(run: Run, name: str) -> list[int | None]:
    node = run.node(name)
    assert node
    return [attempt.exit_code for attempt in node.attempts]


def test_each_share_has_a_node_of_its_own_behind_the_tasks_and_what_follows_waits_for_all(tmp_path):
    [run] = played("shares-good", tmp_path)
    names = [node.name for node in run.nodes]
    assert names[names.index("mirror") :][:5] == ["mirror", *SHARES, "populate"]
    assert mirror(run) == dict.fromkeys(["mirror", *SHARES], "Succeeded")
    assert [codes(run, name) for name in ("mirror", *SHARES)] == [[], [0], [0], [0]]
    ended = [node.attempts[0].finished or 0 for node in run.nodes if node.name in SHARES]
    [populate] = [node for node in run.nodes if node.name == "populate"]
    assert populate.attempts[0].started >= max(ended)
    logs = {path.name for path in (tmp_path / "runs" / RUN).glob("outputs/mirror*")}
    assert logs == {"mirror.0.0", "mirror.1.0", "mirror.2.0"}


def test_one_share_is_told_as_the_task_itself(tmp_path):
    [run] = played("good", tmp_path)
    assert mirror(run) == {"mirror": "Succeeded"}
    assert codes(run, "mirror") == [0]


def test_a_share_that_fails_fails_the_task_when_the_others_are_done_and_says_why(tmp_path):
    [run] = played("shares-one-fails", tmp_path)
    assert mirror(run) == {"mirror": "Failed", **dict(zip(SHARES, ("Succeeded", "Failed", "Succeeded"), strict=True))}
    assert run.phase == "Failed"
    assert [n.phase for n in run.nodes if n.name in ("populate", "promote")] == ["Omitted", "Omitted"]
    node, attempt = run.failure() or pytest.fail("it failed")
    assert (node.name, attempt.message) == (SHARES[1], fails(12).say)


def test_a_share_is_tried_again_alone(tmp_path):
    [run] = played("shares-one-transient-once", tmp_path)
    assert run.phase == "Succeeded"
    assert [codes(run, name) for name in SHARES] == [[0], [75, 0], [0]]


def test_a_run_that_is_stopped_ends_every_share(tmp_path):
    [run] = played("shares-stopped", tmp_path)
    assert mirror(run) == dict.fromkeys(["mirror", *SHARES], "Failed")
    assert run.phase == "Failed"


def test_a_retry_does_only_those_shares_again_that_failed(tmp_path):
    first, second = played("shares-one-fails-then-retried", tmp_path)
    assert mirror(first)["mirror"] == "Failed"
    assert mirror(second) == dict.fromkeys(["mirror", *SHARES], "Succeeded")
    assert [codes(second, name) for name in SHARES] == [[0], [12, 0], [0]]
    assert [node.name for node in second.nodes] == [node.name for node in first.nodes]


def test_what_is_live_already_is_shared_out_to_nobody(tmp_path):
    [run] = played("shares-live-already", tmp_path)
    assert mirror(run) == {"mirror": "Skipped"}


def test_what_is_no_list_is_an_error_of_the_task_and_nothing_begins(tmp_path):
    [run] = played("shares-that-are-no-list", tmp_path)
    assert mirror(run) == {"mirror": "Error"}
    found = run.node("mirror")
    assert found
    assert "withParam value could not be parsed as a JSON list: no list" in found.message


def test_a_list_of_nothing_skips_the_task(tmp_path):
    [run] = played("shares-of-nothing", tmp_path)
    assert mirror(run) == {"mirror": "Skipped"}
    assert run.phase == "Succeeded"


def each(items: str, **fields: object) -> dict[str, object]:
    built = manifest({"a": task(), "b": task(depends="a", **fields)})  # type: ignore[arg-type]
    built["spec"]["templates"][0]["dag"]["tasks"][1]["withParam"] = items
    return built


@pytest.mark.parametrize("text", ["[1]", '{"a": 1}', '["a", {}]', "null", ""])
def test_a_list_of_anything_but_texts_is_not_understood(text):
    made = spec.parse(each("{{workflow.parameters.p}}")).main.tasks["b"]
    with pytest.raises(Unresolved, match="JSON list"):
        fanout.units(made, {"workflow.parameters.p": text})


def test_an_item_cannot_be_taken_for_part_of_a_nodes_name():
    made = spec.parse(each("{{workflow.parameters.p}}")).main.tasks["b"]
    units = fanout.units(made, {"workflow.parameters.p": '["x(1)", "../y"]'})
    assert [(u.node, u.files, u.item) for u in units] == [("b(0:x1)", "b.0", "x(1)"), ("b(1:../y)", "b.1", "../y")]


def test_outputs_of_what_is_done_several_times_are_refused_for_nobody_gathers_them():
    built = manifest(
        {
            "a": task(outputs=output("x")),
            "b": task(depends="a", arguments={"any": "{{tasks.a.outputs.parameters.x}}"}),
        }
    )
    built["spec"]["templates"][0]["dag"]["tasks"][0]["withParam"] = "{{workflow.parameters.p}}"
    with pytest.raises(BadInput, match="does not gather its outputs"):
        spec.parse(built)


def test_of_several_that_went_wrong_the_last_one_says_how():
    assert fanout.outcome(["Failed", "Error", "Succeeded"]) == "Error"
    assert fanout.outcome(["Error", "Failed", "Skipped"]) == "Failed"
    assert fanout.outcome(["Succeeded", "Skipped"]) == "Succeeded"
    assert fanout.outcome(["Failed", "Running"]) is None
