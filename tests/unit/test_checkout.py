import sys

from workflows.checkout import CHECKOUT, pasteable, typed


def test_a_command_is_shown_as_it_can_be_typed_in_the_checkout(monkeypatch):
    monkeypatch.setattr(sys, "executable", str(CHECKOUT / ".venv/bin/python"))
    assert typed("workflows.status", "--local") == ".venv/bin/python -m workflows.status --local"
    assert pasteable("see: python -m workflows.status --local") == f"see: {typed('workflows.status', '--local')}"
    monkeypatch.setattr(sys, "executable", "/opt/my python")
    assert typed("x", "a b") == "'/opt/my python' -m x 'a b'"
