"""The benchmark's own arithmetic, and that a contest measures what it says."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from steps.core.parts import MiB
from tests.bench import brief, contest, measured, picture, results
from tests.bench.cases import SCALES, case
from tests.bench.contest import Contest, Contestant, Result
from tests.bench.measured import FailedError, Measured
from tests.bench.results import Held, Record

PYTHON = [sys.executable, "-I", "-S", "-c"]


@pytest.mark.parametrize("name", ["", "4", "4x", "0x1GiB", "4x1GB", "x1GiB", "4x1GiB ", "4x1GiB+", "4x1GiB+5"])
def test_what_is_no_case_is_told(name):
    with pytest.raises(ValueError, match="4x512MiB"):
        case(name)


def test_the_quick_cases_are_less_than_a_gib_together():
    assert sum(case(name).total for name in SCALES["quick"]) < 1024 * MiB


def test_what_a_chain_of_commands_takes_is_measured_together(tmp_path):
    burn = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    hold = "import time; x = bytearray(64 * 2**20); time.sleep(0.2)"
    done = measured.run([[*PYTHON, burn], [*PYTHON, hold]], {}, tmp_path)
    assert done.wall >= 0.4
    assert 0.2 <= done.cpu < done.wall
    assert 64 < done.peak_mib < 128


def test_a_command_that_fails_ends_the_chain_and_its_words_are_kept(tmp_path):
    never = tmp_path / "never"
    with pytest.raises(FailedError, match="out of order"):
        measured.run([[*PYTHON, "raise SystemExit('out of order')"], ["touch", str(never)]], {}, tmp_path)
    assert not never.exists()


def test_contestants_take_turns_and_each_begins_a_round(tmp_path):
    seen: list[str] = []

    def contestant(name: str) -> Contestant:
        def commands(target: Path) -> list[list[str]]:
            assert list(target.iterdir()) == []
            seen.append(name)
            return [["touch", str(target / "x")]]

        return Contestant(name, "", commands)

    made = Contest([contestant("a"), contestant("b")], {}, tmp_path, lambda _: None, lambda t: (t / "x").stat())
    held = contest.hold(made, 3)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert [len(r.rounds) for r in held] == [3, 3]


def test_who_fails_or_brings_too_little_is_out_with_the_reason(tmp_path):
    def check(_target: Path) -> None:
        raise FailedError("half of it came")

    contestants = [
        Contestant("short", "", lambda _: [["true"]]),
        Contestant("gone", "", lambda _: [["true"]], missing="cannot be had: no such package"),
    ]
    short, gone = contest.hold(Contest(contestants, {}, tmp_path, lambda _: None, check), 2)
    assert (short.rounds, short.failed) == ([], "half of it came")
    assert (gone.rounds, gone.failed) == ([], "cannot be had: no such package")


def result(name: str, *walls: float) -> Result:
    return Result(name, "a promise", [Measured(wall, 1.0, 64.0) for wall in walls])


THREE = result("ours", 2, 9, 2), result("<peer>", 4, 18, 1), Result("gone", "", [])
HELD = Held("populate", "1x512MiB", 512 * MiB, 0.5, THREE)


def test_the_ratio_is_the_median_over_rounds_and_not_of_medians():
    assert results.ratio(HELD.results[0], HELD.results[1]) == 0.5


def test_a_record_is_read_as_it_was_written_and_a_newer_contest_takes_the_place(tmp_path):
    record = Record("2026-01-01", "2 cores", ("s5cmd v2",), (HELD,))
    results.write(record, tmp_path / "r" / "x.json")
    assert results.read(tmp_path / "r" / "x.json") == record
    newer = Held("populate", "1x512MiB", 512 * MiB, 1.0, (result("ours", 1),))
    assert record.with_more(newer).held == (newer,)


def test_the_table_has_a_line_for_everybody():
    table = results.table(Record("2026-01-01", "2 cores", (), (HELD,)))
    assert "| populate | 1x512MiB | ours | a promise | 2.00 |  | 2.00 | 64 |" in table
    assert "| <peer> | a promise | 4.00 | 0.50 | 2.00 | 64 |" in table
    assert "| gone | ? | - | - | - | - |" in table


def test_the_picture_is_an_svg_with_a_bar_for_everybody_who_got_there():
    drawn = ET.fromstring(picture.draw(Record("2026-01-01", "2 cores", (), (HELD,))))
    bars = [e for e in drawn.iter("{http://www.w3.org/2000/svg}rect") if e.get("height") == str(picture.BAR)]
    assert len(bars) == 2
    assert "did not get there" in [e.text for e in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_who_begins_and_ends_elsewhere_than_the_others_has_its_own_before_and_check(tmp_path):
    seen: list[str] = []

    def note(what: str):
        return lambda _target: seen.append(what)

    own = Contestant("own", "", lambda _: [["true"]], before=note("own before"), check=note("own check"))
    usual = Contestant("usual", "", lambda _: [["true"]])
    contest.hold(Contest([own, usual], {}, tmp_path, note("before"), note("check")), 1)
    assert seen == ["own before", "own check", "before", "check"]


def test_a_small_table_compares_ours_with_everybody():
    def result(name: str, *walls: float) -> Result:
        return Result(name, "", [Measured(wall, 3.0, 100.0) for wall in walls])

    small = Held("copy", "1x1GiB", 1024 * MiB, 0.0, (result("ours", 2.0), result("a", 4.0)))
    large = Held(
        "copy", "1x2GiB", 2048 * MiB, 0.0, (result("ours", 5.0), result("b", 2.5), Result("a", "", failed="x"))
    )
    record = Record("2026-01-02", "a machine", (), (small, large))
    assert brief.tables(record).splitlines() == [
        "| copy: case | ours, s | CPU-s per GiB | peak MiB | a | b |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 1x1GiB | 2.0 | 3.0 | 100 | 0.50 | - |",
        "| 1x2GiB | 5.0 | 1.5 | 100 | - | 2.00 |",
    ]


def test_the_figures_in_the_readme_are_those_that_were_kept():
    kept = max(results.DIRECTORY.glob("*-full.json"))
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for table in brief.tables(results.read(kept)).split("\n\n"):
        assert table in readme
    assert f"tests/bench/results/{kept.stem}.svg" in readme
