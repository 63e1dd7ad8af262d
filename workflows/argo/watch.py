"""A run as it goes on in a cluster: each of its states, through watches that end and an API server that is away."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from steps.core import argo
from steps.core.argo import Json, is_over
from steps.core.run import Run
from steps.errors import Corrupt, Missing, Transient
from steps.ports.clock import Clock
from workflows.argo.access import Access
from workflows.argo.patience import PAUSE_SECONDS, OutOfSight, Patience

WATCH_SECONDS = 30.0
"""A connection that silently leads nowhere any more is noticed after so long, and some seconds more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """Of one run. ``note`` is told what a person who watches should know beside the run itself."""

    access: Access
    name: str
    clock: Clock
    note: Callable[[str], None]

    def states(self, deadline: float | None = None, last: Run | None = None) -> Iterator[Run]:
        """Until it is over; the last is the one at ``deadline``, in seconds since the epoch, where that is earlier.

        ``last`` is what was seen of it before. Raises Missing where there is no such run, OutOfSight.
        """
        while True:
            workflow = self._present()
            if workflow is None:
                yield self._deleted(last)
                return
            for state in chain([workflow], self._changes(workflow, deadline)):
                last = _read(state)
                yield last
                if is_over(last):
                    return
            if deadline is not None and self.clock.now() >= deadline:
                return

    def _changes(self, workflow: Json, deadline: float | None) -> Iterator[Json]:
        """For a while. Whatever ends them early is found out when the run is looked at again."""
        left = WATCH_SECONDS if deadline is None else min(WATCH_SECONDS, deadline - self.clock.now())
        try:
            yield from self.access.watch(self.name, workflow["metadata"]["resourceVersion"], max(left, PAUSE_SECONDS))
        except (Transient, Missing) as err:
            log.debug("the watch ended: %s", err)
        self.clock.sleep(PAUSE_SECONDS)  # also after one that was ended at once: the cluster is not asked for ever

    @property
    def _patience(self) -> Patience:
        return Patience("the run", self.clock, self.note)

    def stop(self) -> None:
        """As ``Access.stop``, once somebody answers; nothing where it is over. Raises OutOfSight."""
        self._patience.ask(self._stop)

    def _stop(self) -> None:
        """It may have ended since it was last seen, and argo-server answers that as it answers trouble of its own."""
        workflow = self.access.get(self.name)
        if workflow is not None and not argo.has_ended(workflow):
            self.access.stop(self.name)

    def _present(self) -> Json | None:
        """None where it is no longer there."""
        return self._patience.ask(lambda: self.access.get(self.name))

    def _deleted(self, last: Run | None) -> Run:
        if last is None:
            raise Missing(f"there is no run {self.name} in namespace {self.access.namespace}")
        said = "its Workflow was deleted while it ran, so its exit handler did not run"
        return replace(last, phase="Error", finished=self.clock.now(), message=said)


def _read(workflow: Json) -> Run:
    """Raises OutOfSight where its nodes have grown too many to be kept in it, or cannot be read."""
    try:
        return argo.run(workflow)
    except (Missing, Corrupt) as err:
        raise OutOfSight(str(err)) from err
