import pytest

from steps.core.run import Phase
from steps.errors import BadInput
from workflows.local import graph

CHAIN = graph.build({"a": "", "b": "a", "c": "b"})
HANDLED = graph.build({"a": "", "good": "a", "bad": "a.Failed || a.Errored"})


def phases(**given: Phase) -> dict[str, Phase]:
    pending: dict[str, Phase] = {"a": "Pending", "b": "Pending", "c": "Pending"}
    return pending | given


def test_at_first_the_tasks_without_dependencies_are_due():
    assert CHAIN.due(phases()) == {"a": True}


def test_nothing_is_due_while_what_it_waits_for_runs():
    assert CHAIN.due(phases(a="Running")) == {}


def test_a_task_follows_a_success_and_a_skip():
    assert CHAIN.due(phases(a="Succeeded")) == CHAIN.due(phases(a="Skipped")) == {"b": True}


def test_a_task_does_not_follow_a_failure_an_error_or_an_omission():
    assert CHAIN.due(phases(a="Failed")) == CHAIN.due(phases(a="Error")) == {"b": False}
    assert CHAIN.due(phases(a="Failed", b="Omitted")) == {"c": False}


def test_all_dependencies_have_to_end_before_either_decides():
    either = graph.build({"a": "", "b": "", "c": "a || b"})

    assert either.due(phases(a="Succeeded", b="Running")) == {}
    assert either.due(phases(a="Succeeded", b="Failed")) == {"c": True}


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ("a.Failed", True),
        ("a && b", False),
        ("a || b", True),
        ("a.Failed && (b.Skipped || b.Succeeded)", True),
        ("a || b && a", False),  # && binds closer
        ("(a || b) && a.Failed", True),
        ("a.Succeeded||a.Omitted", False),
    ],
)
def test_expressions(depends, expected):
    assert graph.holds(graph.parse(depends), {"a": "Failed", "b": "Skipped"}) is expected


def test_names_may_hold_hyphens():
    assert graph.names(graph.parse("step-1.Failed && step-2")) == {"step-1", "step-2"}


@pytest.mark.parametrize("text", ["a &&", "&& a", "(a", "a)", "a.Finished", "a.AnySucceeded", "!a", "a b", "a & b"])
def test_what_argo_may_know_and_the_engine_does_not_is_refused(text):
    with pytest.raises(BadInput, match="cannot read depends"):
        graph.parse(text)


def test_a_task_that_does_not_exist_is_refused():
    with pytest.raises(BadInput, match="b depends on x"):
        graph.build({"a": "", "b": "x"})


@pytest.mark.parametrize("depends", [{"a": "a"}, {"a": "c", "b": "a", "c": "b"}])
def test_a_circle_is_refused(depends):
    with pytest.raises(BadInput, match="waits for itself"):
        graph.build(depends)


def test_a_failure_that_nobody_handled_fails_the_dag():
    assert CHAIN.outcome(phases(a="Failed", b="Omitted", c="Omitted")) == "Failed"
    assert CHAIN.outcome(phases(a="Succeeded", b="Error", c="Omitted")) == "Error"


def test_skipped_tasks_do_not_fail_it():
    assert CHAIN.outcome(phases(a="Succeeded", b="Skipped", c="Skipped")) == "Succeeded"


def test_a_failure_that_a_last_task_took_care_of_does_not_fail_it():
    took_care = graph.build({"rollback": "", "report": "rollback.Succeeded || rollback.Failed"})

    assert took_care.outcome({"rollback": "Failed", "report": "Succeeded"}) == "Succeeded"


def test_a_branch_that_was_left_out_fails_with_the_failure_that_left_it_out():
    assert HANDLED.outcome({"a": "Failed", "good": "Omitted", "bad": "Succeeded"}) == "Failed"


def test_to_do_a_task_again_is_to_do_all_below_it_again():
    assert CHAIN.below({"b"}) == {"b", "c"}
    assert CHAIN.below(()) == frozenset()


@pytest.mark.parametrize(
    ("when", "left", "expected"),
    [("'{{x}}' == 'new'", "new", True), ("'{{x}}' == 'new'", "live", False), ("'{{x}}' != 'new'", "live", True)],
)
def test_when_compares_texts(when, left, expected):
    assert graph.parse_when(when).holds(left, "new") is expected


def test_a_value_cannot_change_what_when_asks():
    assert not graph.parse_when("'{{x}}' == 'new'").holds("new' == 'new' || 'a", "new")


@pytest.mark.parametrize("when", ["{{x}} == new", "'a' == 'b' && 'c' == 'd'", "1 > 0", "'a' =~ 'b'", ""])
def test_another_form_of_when_is_refused(when):
    with pytest.raises(BadInput, match="cannot read when"):
        graph.parse_when(when)
