"""A run of this machine that is picked up again by its name."""

from dataclasses import replace

import pytest

from tests.stubs.runs import failed, run
from workflows import command
from workflows.watch import watch

SENTENCE = "Refused: org/chat has no safetensors; convert it first"
REFUSED = run(failed("resolve", 11, SENTENCE), phase="Failed")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Write a run where the local engine keeps it; its name."""
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path))
    monkeypatch.delenv("VLLM_PROMOTE_CONFIG", raising=False)

    def keep(known):
        directory = tmp_path / "runs" / known.name
        directory.mkdir(parents=True)
        (directory / "run.json").write_bytes(known.dump())
        return known.name

    return keep


def test_a_run_that_is_over_is_told_again_with_its_exit_code(kept, capsys):
    assert command.run("watch", watch, [kept(REFUSED), "--local"]) == 1
    text = capsys.readouterr().out
    assert f"resolve: failed after 2.0 s, exit 11: {SENTENCE}\n" in text
    assert f"\nrefused (resolve)\n  why      {SENTENCE}\n" in text


def test_a_run_whose_process_was_killed_is_said_to_be_over(kept, capsys):
    assert command.run("watch", watch, [kept(replace(run(), phase="Running")), "--local"]) == 1
    assert "why      the process that carried it out was killed" in capsys.readouterr().out
