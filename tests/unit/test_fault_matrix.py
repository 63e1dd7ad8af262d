"""The table in tests/faults/README.md, held against the tests that it names."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS / "faults" / "README.md").read_text(encoding="utf-8")
LISTED = {
    *range(1, 20),
    21,
    22,
    *range(23, 28),
    29,
    30,
    31,
    33,
    34,
    35,
    36,
    38,
    39,
    40,
    *range(42, 54),
    55,
    56,
    57,
    59,
    60,
    76,
}
"""Rows of the study; it has no others below 60."""
NO_FEATURE = "no such feature"
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")


def rows() -> list[list[str]]:
    """Cells of each line of a table that begins with a number."""
    cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in TABLE.splitlines())
    return [found for found in cells if found[0].isdecimal()]


def names_in(path: Path) -> set[str]:
    """Names as pytest would give them, without parameters."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            functions = (f.name for f in node.body if isinstance(f, ast.FunctionDef))
            found |= {f"{node.name}::{name}" for name in functions if name.startswith("test_")}
    return found


def test_every_row_of_the_study_is_in_the_table():
    assert {int(cells[0]) for cells in rows()} == LISTED


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: f"{cells[0]} {cells[1]}")
def test_every_row_has_its_four_cells_and_a_test_or_says_that_there_is_no_such_feature(cells: list[str]):
    _, fault, named, how = cells
    assert fault
    assert how
    assert named == NO_FEATURE or (NAMED.findall(named) and not NAMED.sub("", named).strip())


@pytest.mark.parametrize(("path", "name"), sorted({*NAMED.findall(TABLE)}), ids=lambda text: text)
def test_every_test_that_the_table_names_exists(path: str, name: str):
    assert name in names_in(TESTS / path)


def test_every_test_of_faults_is_in_the_table():
    named = {*NAMED.findall(TABLE)}
    there = {(f"faults/{p.name}", name) for p in (TESTS / "faults").glob("test_*.py") for name in names_in(p)}
    assert there <= named
