"""What somebody else has done to a deployment, named before a step goes on or gives up."""

import logging
from collections.abc import Iterator

from steps.core import guards
from steps.core.account import iso
from steps.core.record import Record
from steps.core.release import Release, is_older
from steps.errors import Conflict
from steps.ports.serving import Held
from steps.stage import Stage

log = logging.getLogger(__name__)


def require_pointer(stage: Stage, held: Held) -> None:
    """Raises Conflict where clients are sent elsewhere than the record says, naming who sends them there."""
    try:
        guards.check_pointer(stage.deployment, held.record, held.target)
    except Conflict as err:
        raise Conflict("; ".join((str(err), *stage.serving.meddled(None)))) from err


def noticed(stage: Stage, record: Record, release: Release) -> str:
    """What others have done to what serves, and what becomes of it; empty where nothing was."""
    said = "; ".join(notices(stage, record, release))
    if said:
        log.warning("%s", said)
    return said


def goes_back(live: Release | None, release: Release) -> str:
    """Of an older commit that is to take the place of a newer one; empty where it is none, or nobody knows.

    It is told and not refused: a person may want it, and nobody else begins it. What a clock starts is only proposed
    then, see ``core.refresh``.
    """
    if live is None or not is_older(release, live):
        return ""
    new, old = (f"{r.commit[:12]} of {iso(r.committed or 0.0)}" for r in (live, release))
    return f"this goes back: commit {old} takes the place of {new}, which is newer"


def notices(stage: Stage, record: Record, release: Release) -> Iterator[str]:
    """Reads only."""
    yield from stage.serving.meddled(None)
    if record.live is None:
        return
    yield from stage.serving.meddled(record.live)
    if back := goes_back(stage.serving.release(record.live), release):
        yield back
    now = stage.serving.replicas(record.live)
    if record.live != release.release_id and now > release.replicas:
        yield (
            f"{now} replicas of release {record.live} serve, and {release.replicas} of release {release.release_id} "
            "will, as its catalog entry says; what scales the old one does not scale the new one"
        )
