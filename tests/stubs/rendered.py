"""Both workflow templates, rendered once, as what is read from their YAML."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import yaml
from hera.workflows import WorkflowTemplate

from workflows.pods import TemplateConfig
from workflows.template import build, build_rollback

Manifest = Mapping[str, Any]
BUILDERS: Mapping[str, Callable[[TemplateConfig], WorkflowTemplate]] = {
    "vllm-promote": build,
    "vllm-promote-rollback": build_rollback,
}


@cache
def text(name: str) -> str:
    return BUILDERS[name](TemplateConfig()).to_yaml(allow_unicode=True, width=120)


@cache
def manifest(name: str) -> Manifest:
    read: Manifest = yaml.safe_load(text(name))
    return read


def templates(name: str) -> dict[str, dict[str, Any]]:
    return {template["name"]: template for template in manifest(name)["spec"]["templates"]}


def containers(name: str) -> dict[str, dict[str, Any]]:
    return {n: template for n, template in templates(name).items() if "container" in template}


def tasks(name: str, dag: str) -> dict[str, dict[str, Any]]:
    return {task["name"]: task for task in templates(name)[dag]["dag"]["tasks"]}


def parameters(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = holder.get("parameters", [])
    return found
