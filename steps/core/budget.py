"""How long a promotion may take, from the size of what is brought in. All in seconds."""

from dataclasses import dataclass

from steps.core.release import Release

SLOWEST_LOAD = 0.08 * 2**30
"""Bytes a second: a healthy load from a slow network volume must not be taken for a failure."""
STARTUP_FLOOR = 900.0
STARTUP_BASE = 600.0
"""Making room, pulling the image, compiling: what does not depend on the bytes."""
DRAIN = 300.0
"""For the old release to end once clients have left it; its own grace is 75 s."""
ROLLBACK_PATIENCE = 600.0
"""A rollback that the outside lets down tries this long: its engine does not retry it after a stop."""
RETRY_CAP = 60.0
REQUESTS_A_POD = 5
"""Of a proof, each within the request's own timeout: health, models, an answer, a streamed answer, a fingerprint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """What the settings say about waiting. ``startup`` None: the release's own, else computed from the bytes."""

    request: float
    startup: float | None
    retry_base: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """``startup`` runs from the moment room is made until the pods are ready, ``testing`` from there to the end."""

    startup: float
    testing: float

    @property
    def total(self) -> float:
        """When it is over, others may take the work for abandoned."""
        return self.startup + self.testing


def budget(release: Release, replicas: int, patience: Patience) -> Budget:
    return Budget(
        startup=patience.startup or release.startup_budget_seconds or computed_startup(release.total_bytes, replicas),
        # Once in smoke, once more in promote where other pods run by then, and a round of requests that ends late.
        testing=2 * (1 + REQUESTS_A_POD * max(replicas, 1)) * patience.request,
    )


def computed_startup(total_bytes: int, replicas: int) -> float:
    """Every replica reads all the bytes, at worst one after the other through the same network."""
    return max(STARTUP_FLOOR, STARTUP_BASE + total_bytes * replicas / SLOWEST_LOAD)


def backoff(attempt: int, base: float) -> float:
    """Before the try that follows ``attempt``, which counts from 0."""
    return float(min(base * 2**attempt, RETRY_CAP))
