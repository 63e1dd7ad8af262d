"""Promotions of a namespace: Argo's Workflows, those of the two templates."""

from collections.abc import Mapping
from dataclasses import dataclass

from steps.clients.kube.api import WORKFLOW, Api, Json
from steps.core import argo
from steps.core.installed import PROMOTE_TEMPLATE
from steps.errors import Conflict


@dataclass(frozen=True)
class KubeRuns:
    """Implements ``Runs``."""

    api: Api

    def unfinished(self) -> Mapping[str, str]:
        found = (w for w in self.api.list(WORKFLOW, labels=argo.UNFINISHED) if argo.is_run_of_ours(w))
        return {deployment: w["metadata"]["name"] for w in found if (deployment := _deployment(w))}

    def promote(self, name: str, parameters: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        body = argo.workflow(PROMOTE_TEMPLATE, parameters, name=name, labels=labels)
        try:
            self.api.create(WORKFLOW, body)
        except Conflict:
            if self.api.get(WORKFLOW, name) is None:  # it says so of other things than of a name that is taken, too
                raise
            return any(w["metadata"]["name"] == name for w in self.api.list(WORKFLOW, labels=argo.UNFINISHED))
        return True


def _deployment(workflow: Json) -> str | None:
    parameters = workflow["spec"].get("arguments", {}).get("parameters", ())
    return next((p.get("value") for p in parameters if p["name"] == "deployment"), None)
