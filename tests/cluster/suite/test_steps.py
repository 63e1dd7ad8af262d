"""Every step's container, as Argo would run it, in a real pod from the real image with its real service account."""

from dataclasses import fields

import pytest

from steps.contracts import ALL
from tests.cluster.suite.estate import Estate, told

MAIN = ("resolve", "preflight", "mirror", "populate", "checksum", "deploy", "smoke", "promote")


@pytest.fixture(scope="module")
def promoted(estate: Estate):
    estate.publish(seed=1)
    run = estate.promote()
    assert run.phase == "Succeeded", told(run)
    return run


@pytest.mark.parametrize("step", [s for s in ALL if s.name in (*MAIN, "report")], ids=lambda s: s.name)
def test_each_output_is_what_the_step_wrote_into_its_pod(promoted, step):
    node = promoted.node(step.name)

    assert node.phase == "Succeeded"
    assert {a.exit_code for a in node.attempts} == {0}
    assert set(node.outputs) == {f.name for f in fields(step.outputs)}
