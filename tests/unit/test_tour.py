import pytest

from steps.contracts import CHECKSUM, SMOKE
from steps.errors import Corrupt, Failed
from workflows import tour
from workflows.local.demo.shell import Attempt, Report


def report(outcome, **exit_codes):
    attempts = tuple(
        Attempt(step=step, attempt=0, exit_code=code, seconds=1.0, message="") for step, code in exit_codes.items()
    )
    return Report(run="r", release_id="0" * 12, outcome=outcome, outage_seconds=None, attempts=attempts)


def test_an_outcome_that_was_not_expected_ends_the_tour(capsys):
    assert tour.expect(report("live"), "promoted", "live").outcome == "live"
    assert capsys.readouterr().out == "   proved: the run ended as live\n"
    with pytest.raises(Failed, match="run r should have ended as rolled-back, it is promoted"):
        tour.expect(report("promoted"), "rolled-back")


def test_the_right_step_must_refuse_for_the_right_reason(capsys):
    tour.stopped(report("failed", populate=0, checksum=13), CHECKSUM, Corrupt)
    assert "checksum refused it with exit code 13" in capsys.readouterr().out
    for wrong in (report("failed", checksum=75), report("failed", populate=13), report("promoted", checksum=0)):
        with pytest.raises(Failed, match="should have been ended by checksum with 13"):
            tour.stopped(wrong, CHECKSUM, Corrupt)
    with pytest.raises(Failed, match="should have been ended by smoke"):
        tour.stopped(report("failed", checksum=13), SMOKE, Failed)


def test_a_run_that_made_room_has_touched_what_serves():
    tour.untouched(report("failed", checksum=13))
    with pytest.raises(Failed, match="got as far as deploy"):
        tour.untouched(report("rolled-back", deploy=0, smoke=16))
