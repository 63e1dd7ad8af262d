"""Our templates as Argo plays them in a test: everything as in production but what the containers run.

The image may be any with Python in it: the program comes from a ConfigMap, in place of the package ``steps``. Each run
finds its script by its parameter ``deployment``.
"""

import copy
from collections.abc import Mapping
from pathlib import Path

from steps.clients.kube.api import CONFIG_MAP, Json
from tests.cluster.scripted.scenario import STEPS, Scenario, Script, dump

PROGRAM = "scripted-steps"
PLACE = "/app"
LITTLE = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}


def template_name(scenario: Scenario) -> str:
    """Of the WorkflowTemplate that plays it."""
    kind = "".join(f"-{step}-{seconds}s" for step, seconds in scenario.deadlines.items())
    return f"{scenario.template}-scripted{kind}-{scenario.retry_base_seconds:g}s"


def staged(manifest: Mapping[str, object], scenario: Scenario, image: str) -> Json:
    """The compiled manifest, with stand-ins for its steps."""
    built: Json = copy.deepcopy(dict(manifest))
    built["metadata"]["name"] = template_name(scenario)
    spec = built["spec"]
    for template in spec["templates"]:
        if "container" in template:
            _stage(template, image)
            if template["name"] in scenario.deadlines:
                template["activeDeadlineSeconds"] = scenario.deadlines[template["name"]]
    spec["volumes"] = [*map(_empty, spec["volumes"]), {"name": "program", "configMap": {"name": PROGRAM}}]
    return built


def program() -> Json:
    """The ConfigMap that every stand-in is made of."""
    text = Path(__file__).with_name("part.py").read_text(encoding="utf-8")
    return _config_map(PROGRAM, {"__init__.py": "", **{f"{name}.py": text for name in STEPS}})


def script(scenario: Scenario, life: Script) -> Json:
    """The ConfigMap by which a run's stand-ins know their parts."""
    return _config_map(_script_of(scenario.name), {name: dump(life, name) for name in STEPS})


def _stage(template: Json, image: str) -> None:
    container = template["container"]
    container |= {"image": image, "workingDir": PLACE, "resources": LITTLE}
    mount = {"name": "program", "mountPath": f"{PLACE}/steps", "readOnly": True}
    container["volumeMounts"] = [*container["volumeMounts"], mount]
    told = {"name": _script_of("{{workflow.parameters.deployment}}"), "key": template["name"]}
    own = [
        {"name": "SCRIPT", "valueFrom": {"configMapKeyRef": told}},
        {"name": "ATTEMPT", "value": "{{retries}}"},
    ]
    container["env"] = [*container.get("env", []), *own]
    for source in container["envFrom"]:
        source[next(iter(source))]["optional"] = True


def _empty(volume: Json) -> Json:
    """Nobody looks at models or catalog, so neither need be there."""
    if volume["name"] == "models":
        return {"name": "models", "emptyDir": {}}
    return {**volume, "configMap": {**volume["configMap"], "optional": True}} if "configMap" in volume else volume


def _script_of(deployment: str) -> str:
    return f"script-{deployment}"


def _config_map(name: str, data: Mapping[str, str]) -> Json:
    meta = {"name": name, "labels": {"app.kubernetes.io/part-of": "vllm-promote-tests"}}
    return {"apiVersion": CONFIG_MAP.api_version, "kind": CONFIG_MAP.name, "metadata": meta, "data": dict(data)}
