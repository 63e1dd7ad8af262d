"""The same for several deployments: what fails for one of them does not keep the others from their turn."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from steps.errors import RollbackFailed, StepError, Transient

T = TypeVar("T")
WORST: Mapping[type[StepError], int] = {RollbackFailed: 0, Transient: 1}
"""First what calls a person, then what another attempt may mend, then the rest in their order."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    """By deployment."""

    found: dict[str, StepError] = field(default_factory=dict)

    def keep(self, deployment: str, work: Callable[[], T]) -> T | None:
        """What ``work`` returns; None where it failed, which is told at the end. Foreseen failures only."""
        try:
            return work()
        except StepError as err:
            log.error("%s: %s", deployment, err)  # noqa: TRY400  # foreseen: its sentence says it
            self.found[deployment] = err
            return None

    def tell(self) -> None:
        """Raises the worst, if there is any, in a sentence that names the other deployments."""
        if not self.found:
            return
        deployment, worst = min(self.found.items(), key=lambda each: WORST.get(type(each[1]), len(WORST)))
        others = ", ".join(name for name in self.found if name != deployment)
        more = f" (and {others} failed, as the log says)" if others else ""
        raise type(worst)(f"{deployment}: {worst}{more}") from worst
