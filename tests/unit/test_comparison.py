"""The comparison of both engines excuses what it names, and nothing else."""

from dataclasses import replace

import pytest

from steps.core.run import Attempt, Node, Run
from tests.cluster.scripted.comparison import differences
from tests.cluster.scripted.scenario import STOPPED, WAITS, Interruption, Scenario, fails

SAID = fails(12).say
SCENARIO = Scenario(name="s", script={"a": (fails(12),), "b": (WAITS,)}, interruption=Interruption("b", "Stop"))


def run(*nodes: Node) -> Run:
    return Run(name="run", uid="run", template="t", parameters={}, phase="Failed", started=0, nodes=nodes)


def node(name: str, *attempts: tuple[int | None, str], phase: str = "Failed", on_exit: bool = False) -> Node:
    tried = tuple(
        Attempt(number=n, phase="Failed", started=0, exit_code=code, message=said)
        for n, (code, said) in enumerate(attempts)
    )
    return Node(name=name, phase=phase, attempts=tried, on_exit=on_exit)  # type: ignore[arg-type]  # a phase's name


def found(argo: Run, local: Run) -> list[str]:
    return differences(SCENARIO, [argo], [local])


GOOD = run(node("a", (12, SAID)))


@pytest.mark.parametrize(
    "other",
    [
        replace(GOOD, phase="Error"),
        run(node("a", (13, SAID))),
        run(node("a", (12, f"main: Error (exit code 12): {SAID}"))),
        run(node("a", (12, SAID), (12, SAID))),
        run(node("a", (12, SAID), phase="Error")),
        run(node("a", (12, SAID), on_exit=True)),
        run(node("a", (12, SAID)), node("b", phase="Omitted")),
        run(replace(node("a", (12, SAID), phase="Succeeded"), outputs={"x": "1"})),
        run(),
    ],
)
def test_a_difference_is_found(other):
    assert found(GOOD, GOOD) == []
    assert found(GOOD, other)
    assert found(other, GOOD)


def test_what_an_engine_says_of_an_attempt_is_its_own_affair():
    assert found(run(node("a", (137, "OOMKilled"))), run(node("a", (137, "exit code 137: it said nothing")))) == []


def test_how_a_step_ends_that_was_cut_short_is_left_to_chance_and_no_other_step():
    assert found(run(node("b", (None, ""))), run(node("b", (143, STOPPED)))) == []
    assert found(run(node("a", (None, ""))), run(node("a", (143, STOPPED))))


def test_whether_argo_sees_a_deleted_pod_end_or_only_that_it_is_gone_is_left_to_chance_and_nothing_after_it():
    deleted = replace(SCENARIO, interruption=Interruption("b", "delete pod"))
    ended = run(node("b", (143, STOPPED), (0, ""), phase="Succeeded"))
    gone = replace(ended.nodes[0].attempts[0], phase="Error", exit_code=None, message="pod deleted")
    argo = run(replace(ended.nodes[0], attempts=(gone, ended.nodes[0].attempts[1])))
    again = run(replace(argo.nodes[0], attempts=(*argo.nodes[0].attempts, gone)))

    assert differences(deleted, [argo], [ended]) == []
    assert differences(deleted, [argo], [again])
    assert differences(SCENARIO, [argo], [ended])


def test_what_is_done_anew_begins_without_attempts_in_argo_and_what_is_kept_keeps_them():
    scenario = replace(SCENARIO, again={})
    first = run(node("a", (12, SAID)), node("kept", (0, ""), phase="Succeeded"), node("end", (0, ""), on_exit=True))
    kept = first.nodes[1]
    argo = run(node("a", (16, "")), kept, node("end", (0, ""), on_exit=True))
    local = run(node("a", (12, SAID), (16, "")), kept, node("end", (0, ""), (0, ""), on_exit=True))

    assert differences(scenario, [first, argo], [first, local]) == []
    assert differences(scenario, [first, local], [first, local])
