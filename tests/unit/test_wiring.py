"""The rendered manifests hold together: neither Hera nor the API server checks any of this."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from steps import errors
from steps.contracts import ALL
from steps.entry import parse
from tests.stubs.rendered import BUILDERS, containers, manifest, parameters, tasks, templates
from workflows import argument
from workflows.bridge import EXPRESSION, RETRYABLE
from workflows.local import substitute

REFERENCE = re.compile(r"\{\{([^{}]*)\}\}")
STEPS = {step.name: step for step in ALL}
EVERY_CONTAINER = [
    pytest.param(name, template, id=f"{name}-{template['name']}")
    for name in BUILDERS
    for template in containers(name).values()
]
EVERY_DAG = [
    pytest.param(name, template["name"], id=f"{name}-{template['name']}")
    for name in BUILDERS
    for template in templates(name).values()
    if "dag" in template
]


def ancestors(dag: dict[str, dict[str, Any]], task: str) -> set[str]:
    parents = set(re.findall(r"[a-z][\w-]*", re.sub(r"\.[A-Z]\w+", "", dag[task].get("depends", ""))))
    return parents.union(*(ancestors(dag, parent) for parent in parents))


@pytest.mark.parametrize("name", BUILDERS)
def test_names_are_unique_and_everything_called_exists(name):
    spec = manifest(name)["spec"]
    called = {task["template"] for t in spec["templates"] for task in t.get("dag", {}).get("tasks", ())}

    assert len(spec["templates"]) == len(templates(name))
    assert called | {spec["entrypoint"], spec["onExit"]} == set(templates(name))


@pytest.mark.parametrize(("name", "dag"), EVERY_DAG)
def test_arguments_are_the_inputs_of_what_is_called(name, dag):
    for task in tasks(name, dag).values():
        given = [p["name"] for p in parameters(task["arguments"])]
        taken = [p["name"] for p in parameters(templates(name)[task["template"]]["inputs"])]
        assert given == taken


@pytest.mark.parametrize(("name", "dag"), EVERY_DAG)
def test_every_reference_of_a_task_leads_somewhere(name, dag):
    spec, called = manifest(name)["spec"], tasks(name, dag)
    always = {
        "workflow.name",
        "workflow.uid",
        *(f"workflow.parameters.{p['name']}" for p in parameters(spec["arguments"])),
    }
    at_the_end = {"workflow.status"} if dag == spec["onExit"] else set()
    for task in called.values():
        above = ancestors(called, task["name"])
        outputs = {
            f"tasks.{a}.outputs.parameters.{p['name']}"
            for a in above
            for p in parameters(templates(name)[called[a]["template"]]["outputs"])
        }
        item = {"item"} if "withParam" in task else set()
        known = always | at_the_end | outputs | item | {f"tasks.{a}.status" for a in above}
        assert set(REFERENCE.findall(str(task))) <= known


@pytest.mark.parametrize(("name", "template"), EVERY_CONTAINER)
def test_the_step_knows_every_flag_that_its_container_gives(name, template):
    inputs = [p["name"] for p in parameters(template["inputs"])]
    args = template["container"]["args"]
    samples = {"bool": "true", "int": "1", "float": "1.5", "str": "text"}
    kinds = STEPS[template["name"]].inputs.__annotations__

    assert template["container"]["command"] == ["python", "-m", f"steps.{template['name']}"]
    assert [r for arg in args for r in REFERENCE.findall(arg)] == [argument.expression(name) for name in inputs]
    scope = {argument.expression(name): samples[kinds[name].__name__] for name in inputs}
    argv = [substitute.fill(arg, scope) for arg in args]
    assert parse(STEPS[template["name"]], argv)


@pytest.mark.parametrize(("name", "template"), EVERY_CONTAINER)
def test_no_template_is_without_limits_rights_or_room(name, template):
    retry, container = template["retryStrategy"], template["container"]

    assert set(retry) == {"limit", "expression", "backoff"}  # a retryPolicy would be ANDed to the expression
    assert set(retry["backoff"]) == {"duration", "factor", "cap"}
    assert retry["expression"] == EXPRESSION
    assert template["activeDeadlineSeconds"] > 0
    assert template["serviceAccountName"] not in ("", "default")
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize(("name", "template"), EVERY_CONTAINER)
def test_a_parameter_is_an_argument_and_never_part_of_a_program(name, template):
    container = template["container"]

    assert "{{" not in str(container["command"])
    reference = re.escape(argument.reference("NAME")).replace("NAME", r"\w+")
    assert all(re.fullmatch(rf"--[a-z0-9-]+={reference}", arg) for arg in container["args"])
    assert set(container) <= {
        "image", "imagePullPolicy", "command", "args", "env", "envFrom", "volumeMounts", "resources", "securityContext"
    }  # fmt: skip


@pytest.mark.parametrize(("name", "template"), EVERY_CONTAINER)
def test_a_volume_that_is_mounted_exists(name, template):
    volumes = {volume["name"] for volume in manifest(name)["spec"]["volumes"]}

    assert {mount["name"] for mount in template["container"]["volumeMounts"]} <= volumes


@pytest.mark.parametrize("name", BUILDERS)
def test_no_secret_is_a_parameter(name):
    everywhere = [p["name"] for t in containers(name).values() for p in parameters(t["inputs"])]
    everywhere += [p["name"] for p in parameters(manifest(name)["spec"]["arguments"])]

    assert not [p for p in everywhere if re.search("token|secret|password|key", p)]


def test_the_codes_that_argo_retries_are_those_of_errors_that_may_pass():
    codes = {error.exit_code for error in errors.StepError.__subclasses__()}

    assert codes & set(RETRYABLE) == {errors.Transient.exit_code}
    assert set(RETRYABLE) - codes == {-1, 128 + 9, 128 + 15}
    assert EXPRESSION == "lastRetry.status == 'Error' or asInt(lastRetry.exitCode) in [-1, 75, 137, 143]"


def test_hera_is_loaded_by_those_who_build_manifests_and_by_nobody_else():
    importers = {
        path.name
        for path in Path(__file__).parents[2].glob("workflows/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hera"))
        or (isinstance(node, ast.Import) and any(a.name.startswith("hera") for a in node.names))
    }

    assert importers == {"bridge.py", "pods.py", "template.py", "cron.py", "render.py"}
