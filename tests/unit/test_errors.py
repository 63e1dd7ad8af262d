import pytest

from steps import errors
from steps.errors import StepError

CODES = {
    "BadInput": 10,
    "Refused": 11,
    "Missing": 12,
    "Corrupt": 13,
    "Conflict": 14,
    "NoSpace": 15,
    "Failed": 16,
    "RollbackFailed": 17,
    "Transient": 75,
}
"""Design section 8: dashboards, retries and people's scripts rely on them."""


def test_every_error_has_the_code_that_the_design_gives_it():
    assert {cls.__name__: cls.exit_code for cls in StepError.__subclasses__()} == CODES


def test_no_code_is_one_of_argo_s_or_of_a_signal():
    assert not {64, 65, 137, 143, 0, 1, 2} & set(CODES.values())


@pytest.mark.parametrize("name", CODES)
def test_the_tree_in_the_documentation_is_the_tree(name):
    assert errors.__doc__
    assert f"- {name:<16}{CODES[name]}" in errors.__doc__
