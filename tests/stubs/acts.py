"""What the serving steps do, one by one and as a whole run, for whoever has a stage for them."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from steps.candidate import resolved_release, started_release
from steps.contracts import DeployInputs, PromoteInputs, RollbackInputs, RollbackOutputs, SmokeInputs, SmokeOutputs
from steps.core.names import Layout
from steps.core.release import Release
from steps.deploy import deploy
from steps.ports.store import Store
from steps.promote import promote
from steps.rollback import rollback
from steps.smoke import smoke
from steps.stage import Stage


class Acts(ABC):
    stage: Stage
    layout: Layout

    @abstractmethod
    def _documents(self) -> Store: ...

    def deploy(self, release: Release, owner: str = "run", **fields: Any) -> float:
        inputs = DeployInputs(**self._named(release, owner), **fields)
        found = resolved_release(self.stage, self._documents, self.layout, release.release_id)
        with self._at_work(owner):
            return deploy(inputs, self.stage, found).startup_seconds

    def smoke(self, release: Release, owner: str = "run", **fields: Any) -> SmokeOutputs:
        inputs = SmokeInputs(**self._named(release, owner), **fields)
        started = self._started(release)
        with self._at_work(owner):
            return smoke(inputs, self.stage, started, self._documents, self.layout)

    def promote(self, release: Release, owner: str = "run", proof: str = "", **fields: Any) -> float | None:
        inputs = PromoteInputs(**self._named(release, owner), **{"proof": proof, **fields})
        started = self._started(release)
        with self._at_work(owner):
            return promote(inputs, self.stage, started).outage_seconds

    def rollback(self, owner: str = "run") -> RollbackOutputs:
        return rollback(RollbackInputs(deployment=self.stage.deployment, run=owner, owner=owner), self.stage)

    def run(self, release: Release, owner: str = "run") -> float | None:
        """The whole promotion, as the workflow does it; its outage."""
        self.deploy(release, owner)
        return self.promote(release, owner, proof=self.smoke(release, owner).proof)

    def _at_work(self, owner: str) -> AbstractContextManager[None]:
        """While a step of the owner's runs."""
        return nullcontext()

    def _started(self, release: Release) -> Release:
        return started_release(self.stage, self._documents, self.layout, release.release_id)

    def _named(self, release: Release, owner: str) -> dict[str, Any]:
        return {"deployment": self.stage.deployment, "release_id": release.release_id, "run": owner, "owner": owner}
