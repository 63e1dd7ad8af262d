"""What a person types reaches a step as it was typed, and nothing else with it."""

import json

import pytest

from steps.core import argo
from tests.cluster.argo.house import CANARY
from tests.cluster.scripted.scenario import Part, Scenario

ECHO = Scenario(name="echo", script={"resolve": (Part(code=10, says_argv=True),)})
TEXTS = (
    "$(HF_TOKEN)",
    "$$(HF_TOKEN) $$ $ a$b",
    'it\'s "quoted" `twice` \\',
    "two\nlines, ä 模",
    "a {{ b }} c",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_reaches_argv_as_it_is(house, text):
    assert told(house, text) == text


@pytest.mark.parametrize(
    "text",
    [
        "{{='$'}}(HF_TOKEN)",
        "{{='\\x24'}}(HF_TOKEN)",
        """{{="{" + "{='\\\\x24'}" + "}(HF_TOKEN)"}}""",
    ],
)
def test_no_expression_gets_a_secret_into_argv(house, text):
    """Argo expands what is typed. The kubelet, which knows the Secret, must not."""
    assert told(house, text) == "$(HF_TOKEN)"


def told(house, model: str) -> str:
    """What the step heard as its model."""
    name = house.begin(ECHO, model=model)
    run = argo.run(house.end(name))
    house.remove(name)
    failure = run.failure()
    assert failure, run
    argv = json.loads(failure[1].message)
    assert CANARY not in str(argv)
    return str(next(arg for arg in argv if arg.startswith("--model=")).removeprefix("--model="))
