"""Runs as Argo records them: Workflow objects."""

from dataclasses import dataclass

from steps.clients.kube.api import WORKFLOW, Api
from steps.core import argo
from steps.core.run import Run


@dataclass(frozen=True)
class KubeJournal:
    """Implements ``Journal``."""

    api: Api

    def run(self, name: str) -> Run | None:
        """Raises Missing also where Argo keeps the run's nodes in its own database, Corrupt."""
        workflow = self.api.get(WORKFLOW, name)
        return None if workflow is None else argo.run(workflow)
