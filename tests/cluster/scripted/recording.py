"""What a controller did, as data: a Workflow without what differs from one run to the next, or says nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path

from steps.clients.kube.api import Json
from steps.core import argo
from steps.core.run import Run
from tests.cluster.scripted.scenario import Scenario
from tests.stubs.rendered import manifest

RECORDINGS = Path(__file__).parents[1] / "recordings"
RUN = "run"
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""When every recorded run begins."""
STATUS = ("phase", "message", "progress", "startedAt", "finishedAt")
NODE = ("type", "phase", "message", "progress", "startedAt", "finishedAt", "nodeFlag")
TIMES = ("startedAt", "finishedAt")


def trimmed(workflow: Json, executor: str) -> Json:
    """Its status: phases, messages and outputs as they were, times from the run's beginning on; and who did it, when.

    ``executor`` is the image of Argo's own container, whose tag is the controller's version; empty where none was seen.
    """
    name, status = workflow["metadata"]["name"], workflow["status"]
    began = datetime.fromisoformat(status["startedAt"])
    nodes = sorted(status.get("nodes", {}).values(), key=lambda node: (node.get("startedAt") or "", node["name"]))
    seen = {"recorded": began.date().isoformat(), **({"executor": executor} if executor else {})}
    kept = {**seen, **_kept(status, STATUS, began), "nodes": {node["name"]: _node(node, began) for node in nodes}}
    text = json.dumps(kept).replace(workflow["metadata"]["uid"], "uid").replace(name, RUN)
    anonymous: Json = json.loads(text)
    return anonymous


def read(status: Json, scenario: Scenario) -> Run:
    """The run that it was, by what the commands read runs with; older recordings do not say who did it, and when."""
    nodes = {name: {"name": name, **node} for name, node in status["nodes"].items()}
    return argo.run(
        {
            "metadata": {"name": RUN, "uid": "uid", "creationTimestamp": status["startedAt"]},
            "spec": {"workflowTemplateRef": {"name": scenario.template}},
            "status": {**status, "nodes": nodes, "storedWorkflowTemplateSpec": manifest(scenario.template)["spec"]},
        }
    )


def exists(scenario: Scenario) -> bool:
    """Whether somebody recorded it."""
    return _file(scenario).exists()


def load(scenario: Scenario) -> list[Json]:
    """Of each life. Raises FileNotFoundError where nobody recorded it yet."""
    lives: list[Json] = json.loads(_file(scenario).read_text(encoding="utf-8"))
    return lives


def save(scenario: Scenario, lives: list[Json]) -> None:
    """A node a line, so that a difference is read as one."""
    RECORDINGS.mkdir(exist_ok=True)
    text = ",\n".join(_written(life) for life in lives)
    _file(scenario).write_text(f"[\n{text}\n]\n", encoding="utf-8")


def _file(scenario: Scenario) -> Path:
    return RECORDINGS / f"{scenario.name}.json"


def _written(life: Json) -> str:
    run = json.dumps({key: value for key, value in life.items() if key != "nodes"})
    nodes = ",\n".join(f"{json.dumps(name)}: {json.dumps(node)}" for name, node in life["nodes"].items())
    return f'{run[:-1]}, "nodes": {{\n{nodes}\n}}}}'


def _node(node: Json, began: datetime) -> Json:
    kept = _kept(node, NODE, began)
    outputs = node.get("outputs", {})
    told = {"exitCode": outputs["exitCode"]} if "exitCode" in outputs else {}
    if node["type"] != "Pod" and "parameters" in outputs:  # a task's node says them again
        told["parameters"] = [{key: p[key] for key in ("name", "value") if key in p} for p in outputs["parameters"]]
    return {**kept, "outputs": told} if told else kept


def _kept(source: Json, keys: tuple[str, ...], began: datetime) -> Json:
    kept = {key: source[key] for key in keys if source.get(key) not in (None, "")}
    for key in kept.keys() & set(TIMES):
        kept[key] = (MIDNIGHT + (datetime.fromisoformat(kept[key]) - began)).isoformat()
    return kept
