"""What README and CONTRIBUTING tell people to type, and where they send them, exists."""

import re
import subprocess
import sys

import pytest

from steps.contracts import ALL
from tests.stubs.machine import REPOSITORY
from workflows.__main__ import VERBS

TEXTS = {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
TEXT = "\n".join(TEXTS.values())
COMMANDS = sorted(set(re.findall(r"python -m (workflows\.\w+|steps\.\w+)((?: +[\w./=-]+)*)", TEXT)))
STEPS = {step.module for step in ALL}


def told(*argv):
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_that_is_to_be_typed_is_there():
    assert len(COMMANDS) > 5
    assert {module for module, _ in COMMANDS} <= STEPS | {f"workflows.{verb}" for verb in VERBS}


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS}))
def test_its_help_names_every_option_that_is_to_be_typed(module):
    options = {o for m, rest in COMMANDS if m == module for o in re.findall(r"(?<= )--?[\w-]+", rest)}
    # An option that takes no such name would be cut from the help at the terminal's width.
    shown = told("env", "COLUMNS=200", sys.executable, "-m", module, "--help")
    assert {o for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", shown)} == set()


def test_every_make_target_is_listed_by_make():
    listed = set(re.findall(r"^  make ([\w-]+)", told("make", "help"), re.MULTILINE))
    assert {"demo", "test", "tour", "demo-down", "check", "lock", "clean"} <= listed
    assert set(re.findall(r"(?:`|^)make ([\w-]+)", TEXT, re.MULTILINE)) <= listed


def test_every_path_is_there():
    named = {p for p in re.findall(r"(?:^|`)([\w.-]+/?[\w./-]*)(?:`| {2,})", TEXT, re.MULTILINE) if "NAME" not in p}
    paths = {p for p in named if p.endswith(("/", ".py", ".md", ".toml", ".yaml")) and not p.startswith(".local")}
    assert len(paths) > 10
    assert {p for p in paths if not (REPOSITORY / p).exists()} == set()


def test_exit_codes_are_those_of_the_errors():
    from steps.errors import StepError

    codes = {str(error.exit_code) for error in StepError.__subclasses__()}
    table = TEXTS["README.md"].partition("Of a step")[2].partition("##")[0]
    assert codes <= set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE))
    retried = re.findall(r"^\| (\d+) \|.*\| yes \|$", table, re.MULTILINE)
    assert retried == ["75"]
