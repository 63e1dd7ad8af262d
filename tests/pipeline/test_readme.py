"""What README, OPERATIONS and CONTRIBUTING tell people to type, and where they send them, exists.

What they tell people to type on a cluster is typed by `tests/cluster/suite/test_readme.py`.
"""

import re
import subprocess
import sys

import pytest
import yaml

from steps.contracts import ALL
from steps.core.catalog import Entry
from steps.core.pod import Pod
from steps.settings import from_environment
from tests.stubs.installed import install
from tests.stubs.kube import FakeApi
from tests.stubs.machine import REPOSITORY
from tests.stubs.readme import lines
from workflows.__main__ import VERBS
from workflows.cluster import plan, shown
from workflows.cluster.objects import objects
from workflows.config import Config, load
from workflows.pods import TemplateConfig

NAMES = ("README.md", "OPERATIONS.md", "CONTRIBUTING.md")
TEXTS = {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in NAMES}
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


LOCAL = {"local_dir", "serve_command"}
"""Settings that a cluster does not heed."""
SAID = {
    "none": "",
    "all": "",
    "AWS itself": "",
    "each from where it is": "",
    "the images' own": "",
    "what `install` finds": "",
}
"""Words of the table that stand for nothing being given."""


def settings_rows():
    """By key: what the table says of its default."""
    table = TEXTS["README.md"].partition("### Settings of a cluster")[2].partition("\n## ")[0]
    rows = [row.split(" | ") for row in re.findall(r"^\| (`.+) \|$", table, re.MULTILINE)]
    for keys, _, default in rows:
        names = re.findall(r"`(\w+)`", keys)
        defaults = default.split(", ") if len(names) > 1 else [default]
        yield from zip(names, (defaults * len(names))[: len(names)], strict=True)


def test_every_setting_of_a_cluster_is_in_the_table_with_its_default():
    told = {name: text.strip("`") for name, text in settings_rows()}
    assert told.keys() == Config.model_fields.keys() - LOCAL
    steps, usual = from_environment({}), TemplateConfig()
    known = {name: getattr(source, name) for source in (usual, steps) for name in told if hasattr(source, name)}
    own = {name: value for name in told if (value := Config.model_fields[name].default) is not None}
    for name, value in {**known, **own}.items():
        plain = {True: "true", False: "false", None: "", (): ""}.get(value, value)
        said = SAID.get(told[name], told[name])
        if name not in ("transfer_image", "cluster_image", "startup_budget_seconds"):  # told in words
            assert said == (f"{plain:g}" if isinstance(plain, float) else str(plain)), name


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_the_examples_of_settings_are_settings(path, monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_CONFIG", str(path))
    assert load(local=False).namespace == "vllm-promote"


def test_what_is_shown_of_an_installation_and_of_an_upgrade_adds_up(monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_CONFIG", str(REPOSITORY / "examples" / "one-node.toml"))
    monkeypatch.chdir(REPOSITORY)
    config = load(local=False)
    new = config.model_copy(update={f"{name}_image": f"vllm-promote/{name}:suite" for name in ("transfer", "cluster")})

    def last_line(wanted):
        return shown.text(plan.look(api, objects(wanted))).splitlines()[-1]

    api = FakeApi(namespace=config.namespace)
    assert f"\n{last_line(config)}\n" in TEXTS["README.md"]
    install(api, config)
    assert f"\n{last_line(new)}\n" in TEXTS["OPERATIONS.md"]


def test_every_key_of_an_entry_is_shown_in_the_catalog():
    text = (REPOSITORY / "catalog.yaml").read_text(encoding="utf-8")
    _, key, entry_text = text.partition("  # assistant:\n")
    shown = "\n".join(line.removeprefix("  # ") for line in (key + entry_text).splitlines())
    entry = yaml.safe_load(shown)["assistant"]
    assert entry.keys() == Entry.model_fields.keys()
    assert entry["pod"].keys() == {field.alias or name for name, field in Pod.model_fields.items()}


def test_whoever_types_on_a_cluster_is_told_what_every_word_in_capitals_stands_for():
    assert {w for line in lines() for w in re.findall(r" ([A-Z]{3,})\b", line.typed)} <= {"RUN", "RELEASE"}
