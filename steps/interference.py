"""What somebody else has done to a deployment, named before a step goes on or gives up."""

import logging
from collections.abc import Iterator

from steps.core import rollout
from steps.core.record import Record
from steps.core.release import Release
from steps.errors import Conflict
from steps.ports.serving import Held
from steps.stage import Stage

log = logging.getLogger(__name__)


def require_pointer(stage: Stage, held: Held) -> None:
    """Raises Conflict where clients are sent elsewhere than the record says, naming who sends them there."""
    try:
        rollout.check_pointer(stage.deployment, held.record, held.target)
    except Conflict as err:
        raise Conflict("; ".join((str(err), *stage.serving.meddled(None)))) from err


def noticed(stage: Stage, record: Record, release: Release) -> str:
    """What others have done to what serves, and what becomes of it; empty where nothing was."""
    said = "; ".join(_noticed(stage, record, release))
    if said:
        log.warning("%s", said)
    return said


def _noticed(stage: Stage, record: Record, release: Release) -> Iterator[str]:
    yield from stage.serving.meddled(None)
    if record.live is None:
        return
    yield from stage.serving.meddled(record.live)
    now = stage.serving.replicas(record.live)
    if record.live != release.release_id and now > release.replicas:
        yield (
            f"{now} replicas of release {record.live} serve, and {release.replicas} of release {release.release_id} "
            "will, as its catalog entry says; what scales the old one does not scale the new one"
        )
