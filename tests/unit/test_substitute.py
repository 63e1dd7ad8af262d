import pytest

from workflows.local.substitute import Unresolved, arguments, fill

SCOPE = {"workflow.name": "r1", "x": "{{workflow.name}}", "tasks.a.outputs.parameters.o": None}


def test_references_are_filled_in_wherever_they_stand():
    assert fill("--run={{workflow.name}}/{{ workflow.name }}", SCOPE) == "--run=r1/r1"


def test_a_value_is_never_expanded_again():
    assert fill("{{x}}", SCOPE) == "{{workflow.name}}"


def test_a_value_may_hold_anything():
    assert fill("{{v}}", {"v": r"\1 \g<0> {{}} $x"}) == r"\1 \g<0> {{}} $x"


@pytest.mark.parametrize("text", ["{{nosuch}}", "{{=1+1}}", "{{tasks.a.outputs.parameters.o}}"])
def test_a_reference_to_nothing_is_refused(text):
    with pytest.raises(Unresolved, match="stands for nothing"):
        fill(text, SCOPE)


def test_an_output_that_nobody_wrote_leaves_the_input_its_default():
    given = {"i": "{{tasks.a.outputs.parameters.o}}"}

    assert arguments(given, {"i": "default"}, SCOPE) == {"i": "default"}


def test_an_input_with_neither_value_nor_default_is_refused():
    with pytest.raises(Unresolved, match="input i has neither"):
        arguments({"i": "{{tasks.a.outputs.parameters.o}}"}, {"i": None}, SCOPE)


def test_an_empty_text_is_a_value():
    assert arguments({"i": ""}, {"i": "default"}, SCOPE) == {"i": ""}
