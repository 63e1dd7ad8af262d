"""What serves, as the steps see it."""

from dataclasses import dataclass
from typing import Protocol

from steps.core.measured import Measured
from steps.core.record import Record
from steps.core.release import Release


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """One replica of a release. ``failure`` is why it never will be ready and what it said last; None while it may."""

    uid: str
    release_id: str
    url: str | None
    """``http://HOST:PORT``; None until it has an address."""
    ready: bool
    name: str = ""
    """What people call it where that is not its uid."""
    failure: str | None = None
    waiting: str | None = None
    """What it waits for, in words, while that is known."""
    unplaced: bool = False
    """It has no place to start: no node takes it, or the cluster refuses to make it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record as it was read: ``version`` makes the next write conditional, ``target`` is where clients go."""

    record: Record
    version: str
    target: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a release is made ready to start while another serves there: a node, or this machine.

    ``problem`` is why it never will start there: final. ``said`` is what is being done; once ``done``, what was.
    ``startable``: what is still being done only makes its start quicker.
    """

    name: str
    done: bool
    startable: bool = True
    problem: str | None = None
    said: str = ""


class Serving(Protocol):
    """One deployment: its releases, its record, and the pointer that clients follow."""

    @property
    def url(self) -> str:
        """Where clients find it."""
        ...

    @property
    def poll_seconds(self) -> float:
        """Between two looks at pods: what a look costs, others pay too."""
        ...

    def read(self) -> Held:
        """A deployment that was never promoted has an empty record. Raises Conflict when the name is not ours.

        Changes no record; the local endpoint, where it was killed, is brought back by whoever looks.
        """
        ...

    def swap(self, held: Held, record: Record) -> Held:
        """Write the record if it still is what was read. Raises Conflict otherwise."""
        ...

    def point(self, held: Held, record: Record, target: str | None) -> Held:
        """As ``swap``, and move the pointer to release ``target`` in the same write."""
        ...

    def release(self, release_id: str) -> Release | None:
        """As it was given to ``ensure``; kept while the record names it, so that a rollback needs no store."""
        ...

    def ensure(self, release: Release, replicas: int, owner: str) -> None:
        """Have so many replicas of it run; returns at once. Raises Conflict unless the record shows this owner.

        Also for the candidate of a rollback: a step of the same run may still be about to start it.
        What runs already is left alone; a replica that has ended is started again.
        """
        ...

    def prepare(self, release: Release, beside: str, seconds: float, owner: str) -> tuple[Place, ...]:
        """Have all there that it starts from, wherever release ``beside`` runs: its image, its files in memory.

        To be asked again until all is done. Nothing that serves is touched and no device is taken, so nobody has to own
        the record. What is begun ends by itself after so many seconds; ``owner`` is the run that begins it, where
        another has not.
        """
        ...

    def unprepare(self, owner: str | None) -> None:
        """End what this run has begun, with None what anybody has, which is for who owns the record.

        What was read stays in memory as long as there is room for it.
        """
        ...

    def stop(self, release_id: str, owner: str, *, anew: bool = False) -> None:
        """Scale to zero and wait until its pods are gone; what it logged is kept. Raises Conflict like ``ensure``.

        Raises Lingering where it is at zero, and a pod may run on where nobody sees it, on a node that is silent.
        Also for the live release, unless the record shows that room is made or that it is repaired. ``anew``: it is
        started again right after.
        """
        ...

    def remove(self, release_id: str, owner: str) -> None:
        """``stop``, then forget it."""
        ...

    def remember(self, release_id: str, measured: Measured, owner: str) -> None:
        """Keep it with the release, for as long as that is kept. Raises Conflict like ``ensure``."""
        ...

    def measured(self, release_id: str) -> Measured | None:
        """What was remembered last; None where nothing was, or what is there is damaged."""
        ...

    def meddled(self, release_id: str | None) -> tuple[str, ...]:
        """What somebody else has changed of a release, or with None of the endpoint, since we wrote it last.

        A sentence each: what, from what to what, who and when, as far as it can be known. A release that was deleted
        is none of them: ``release`` tells.
        """
        ...

    def replicas(self, release_id: str) -> int:
        """Wanted replicas now, 0 for a release that is stopped or unknown."""
        ...

    def pods(self, release_id: str) -> tuple[Pod, ...]: ...

    def releases(self) -> tuple[str, ...]:
        """Ids of all that exist here, running or not."""
        ...

    def log_tail(self, release_id: str, lines: int) -> str: ...

    def device_seen(self, uid: str) -> str | None:
        """``cuda`` or ``cpu`` as this pod's own log tells; None where it does not, or where there is no such pod."""
        ...

    def owner_alive(self, owner: str) -> bool:
        """Whether the run that owns the work in flight, or a pod of it, still exists."""
        ...

    def run_of(self, owner: str) -> str | None:
        """The name of that run, by which people stop it; None where it is no run, or nothing of it exists."""
        ...

    def check_room(self, release: Release) -> None:
        """Raises BadInput, Missing, NoSpace: what would keep a pod of this release from ever starting."""
        ...

    def elsewhere(self, release_id: str) -> str | None:
        """Why its pods would not read the bytes that the steps prove, and the way out; None where they would."""
        ...
