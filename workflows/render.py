"""The manifests of a run as Kubernetes takes them: the template, and the Workflow that refers to it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hera.workflows import Parameter, Workflow
from hera.workflows.models import WorkflowTemplateRef

from steps.core.images import rewritten
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from workflows import template
from workflows.config import Config
from workflows.pods import TemplateConfig


def manifest(config: Config, name: str) -> dict[str, Any]:
    """The WorkflowTemplate of this name, as the local engine takes it. Raises KeyError for another name."""
    build = {PROMOTE_TEMPLATE: template.build, ROLLBACK_TEMPLATE: template.build_rollback}[name]
    built: dict[str, Any] = build(template_config(config)).to_dict()
    return built


def promotion(config: Config, parameters: Mapping[str, str]) -> str:
    """Two YAML documents: ``kubectl apply`` takes the first, ``kubectl create`` the second."""
    run = Workflow(
        generate_name="promote-",
        workflow_template_ref=WorkflowTemplateRef(name=PROMOTE_TEMPLATE),
        arguments=[Parameter(name=key, value=value) for key, value in parameters.items()],
    )
    return f"{template.build(template_config(config)).to_yaml()}---\n{run.to_yaml()}".rstrip("\n")


def template_config(config: Config, deployments: tuple[str, ...] = ()) -> TemplateConfig:
    """What this cluster is like. ``deployments`` are the catalog's, for the UI to offer."""
    usual = TemplateConfig()
    own: dict[str, Any] = {
        "transfer_image": rewritten(config.transfer_image or usual.transfer_image, config.registry),
        "cluster_image": rewritten(config.cluster_image or usual.cluster_image, config.registry),
        "models_claim": config.claim,
        "one_pass": config.one_pass,
        "deployments": deployments,
        "retry_base_seconds": config.retry_base_seconds,
        "refresh_schedule": config.refresh_schedule,
        "reconcile_schedule": config.reconcile_schedule,
        "audit_schedule": config.audit_schedule,
        "timezone": config.timezone,
    }
    return replace(usual, **{key: value for key, value in own.items() if value is not None})
