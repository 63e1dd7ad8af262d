"""Promotions of a namespace: Argo's Workflows, those of the two templates."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from steps.clients.clock import SystemClock
from steps.clients.kube.api import WORKFLOW, Api, Json
from steps.core import argo, standstill
from steps.core.installed import PROMOTE_TEMPLATE
from steps.errors import Conflict, Corrupt, Missing
from steps.ports.clock import Clock
from steps.ports.runs import Unfinished

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KubeRuns:
    """Implements ``Runs``."""

    api: Api
    clock: Clock = field(default_factory=SystemClock)

    def unfinished(self) -> Mapping[str, Unfinished]:
        """The one that is at it, where others wait for it: what keeps that one keeps them all."""
        found: dict[str, Unfinished] = {}
        for workflow in self.api.list(WORKFLOW, labels=argo.UNFINISHED):
            deployment = _deployment(workflow) if argo.is_run_of_ours(workflow) else None
            if deployment and (deployment not in found or _is_at_it(workflow)):
                found[deployment] = Unfinished(workflow["metadata"]["name"], self._standstill(workflow))
        return found

    def _standstill(self, workflow: Json) -> str:
        try:
            found = standstill.lasting(argo.run(workflow), self.clock.now())
        except (Missing, Corrupt) as err:  # its nodes are kept elsewhere
            log.info("whether run %s goes on cannot be told: %s", workflow["metadata"]["name"], err)
            return ""
        return found.sentence if found else ""

    def promote(self, name: str, parameters: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        body = argo.workflow(PROMOTE_TEMPLATE, parameters, name=name, labels=labels)
        try:
            self.api.create(WORKFLOW, body)
        except Conflict:
            if self.api.get(WORKFLOW, name) is None:  # it says so of other things than of a name that is taken, too
                raise
            return any(w["metadata"]["name"] == name for w in self.api.list(WORKFLOW, labels=argo.UNFINISHED))
        return True


def _is_at_it(workflow: Json) -> bool:
    return (workflow.get("status") or {}).get("phase") == "Running"


def _deployment(workflow: Json) -> str | None:
    parameters = workflow["spec"].get("arguments", {}).get("parameters", ())
    return next((p.get("value") for p in parameters if p["name"] == "deployment"), None)
