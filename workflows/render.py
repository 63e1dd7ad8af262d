"""The manifests of a run as Kubernetes takes them: the template, and the Workflow that refers to it."""

from collections.abc import Mapping
from typing import Any

from hera.workflows import Parameter, Workflow
from hera.workflows.models import WorkflowTemplateRef

from steps.core.account import ROLLBACK_TEMPLATE
from workflows import template
from workflows.config import Config
from workflows.pods import TemplateConfig


def manifest(config: Config, name: str) -> dict[str, Any]:
    """The WorkflowTemplate of this name, as the local engine takes it. Raises KeyError for another name."""
    build = {template.PROMOTE_TEMPLATE: template.build, ROLLBACK_TEMPLATE: template.build_rollback}[name]
    built: dict[str, Any] = build(_template_config(config)).to_dict()
    return built


def promotion(config: Config, parameters: Mapping[str, str]) -> str:
    """Two YAML documents: ``kubectl apply`` takes the first, ``kubectl create`` the second."""
    run = Workflow(
        generate_name="promote-",
        workflow_template_ref=WorkflowTemplateRef(name=template.PROMOTE_TEMPLATE),
        arguments=[Parameter(name=key, value=value) for key, value in parameters.items()],
    )
    return f"{template.build(_template_config(config)).to_yaml()}---\n{run.to_yaml()}".rstrip("\n")


def _template_config(config: Config) -> TemplateConfig:
    if config.retry_base_seconds is None:
        return TemplateConfig()
    return TemplateConfig(retry_base_seconds=config.retry_base_seconds)
