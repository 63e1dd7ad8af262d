"""Promotions of a namespace: Argo's Workflows, those of the two templates."""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.clients.kube.api import WORKFLOW, Api, Json
from steps.clients.kube.owners import UNFINISHED
from steps.core import argo
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.errors import Conflict


@dataclass(frozen=True)
class KubeRuns:
    """Implements ``Runs``."""

    api: Api

    def unfinished(self) -> Mapping[str, str]:
        found = (w for w in self.api.list(WORKFLOW, labels=UNFINISHED) if _template(w) in _OURS)
        return {deployment: w["metadata"]["name"] for w in found if (deployment := _deployment(w))}

    def promote(self, name: str, parameters: Mapping[str, str], labels: Mapping[str, str]) -> None:
        body = argo.workflow(PROMOTE_TEMPLATE, parameters, name=name, labels=labels)
        try:
            self.api.create(WORKFLOW, body)
        except Conflict:
            if self.api.get(WORKFLOW, name) is None:  # it says so of other things than of a name that is taken, too
                raise


_OURS = (PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE)


def _template(workflow: Json) -> str | None:
    name: str | None = workflow["spec"].get("workflowTemplateRef", {}).get("name")
    return name


def _deployment(workflow: Json) -> str | None:
    parameters = workflow["spec"].get("arguments", {}).get("parameters", ())
    return next((p.get("value") for p in parameters if p["name"] == "deployment"), None)
