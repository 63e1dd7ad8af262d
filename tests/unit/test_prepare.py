from dataclasses import replace

import pytest

from steps.core.run import Attempt, Node, Run
from steps.errors import BadInput
from tests.stubs.manifests import manifest, task
from workflows.local import prepare, spec

WORKFLOW = spec.parse(manifest({"a": task(), "b": task(depends="a"), "c": task()}, on_exit={"back": task()}))
DONE = Attempt(number=0, phase="Succeeded", started=1.0, finished=2.0, exit_code=0)
LOST = Attempt(number=0, phase="Running", started=1.0)


def failed(*nodes: Node) -> Run:
    return replace(prepare.new(WORKFLOW, {"p": "v"}, "r1", 0.0), phase="Failed", finished=9.0, nodes=nodes)


def test_a_new_run_has_every_node_pending_and_the_templates_own_values():
    run = prepare.new(WORKFLOW, {"p": "v"}, "r1", 5.0)

    assert [(n.name, n.phase, n.on_exit) for n in run.nodes] == [
        ("a", "Pending", False),
        ("b", "Pending", False),
        ("c", "Pending", False),
        ("back", "Pending", True),
    ]
    assert (run.uid, run.parameters, run.started) == ("r1", {"p": "v", "q": "q"}, 5.0)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({}, "parameter p"), ({"p": "v", "x": "y"}, "no parameter x"), ({"p": "\0"}, "parameter p")],
)
def test_a_parameter_that_is_missing_unknown_or_no_text_is_named(parameters, named):
    with pytest.raises(BadInput, match=named):
        prepare.new(WORKFLOW, parameters, "r1", 0.0)


def test_what_succeeded_or_was_skipped_is_kept_and_the_rest_is_done_again():
    kept, skipped = (
        Node(name="a", phase="Succeeded", attempts=(DONE,), outputs={"o": "1"}),
        Node(name="c", phase="Skipped"),
    )

    run = prepare.again(WORKFLOW, failed(kept, Node(name="b", phase="Failed"), skipped), 7.0)

    assert [run.node("a"), run.node("c")] == [kept, skipped]
    assert [n.name for n in run.nodes if n.phase == "Pending"] == ["b", "back"]
    assert (run.phase, run.started, run.finished) == ("Pending", 7.0, None)


def test_what_follows_a_task_that_is_done_again_is_done_again_too():
    run = prepare.again(WORKFLOW, failed(Node(name="a", phase="Failed"), Node(name="b", phase="Succeeded")), 7.0)

    assert [n.name for n in run.nodes if n.phase == "Pending"] == ["a", "b", "c", "back"]


def test_an_exit_handler_that_succeeded_is_done_again():
    run = prepare.again(WORKFLOW, failed(Node(name="back", phase="Succeeded", attempts=(DONE,), on_exit=True)), 7.0)

    assert run.nodes[-1] == Node(name="back", attempts=(DONE,), on_exit=True)


def test_an_attempt_that_ended_unseen_is_an_error():
    run = prepare.again(WORKFLOW, failed(Node(name="a", phase="Running", attempts=(LOST,))), 7.0)

    assert [(a.number, a.phase, a.exit_code) for a in run.nodes[0].attempts] == [(0, "Error", None)]


def test_a_run_of_another_template_is_refused():
    with pytest.raises(BadInput, match="one of other"):
        prepare.again(WORKFLOW, replace(failed(), template="other"), 7.0)
