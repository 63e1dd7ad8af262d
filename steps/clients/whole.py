"""Whether a model's directory still has what was proved of it, as far as names and sizes tell: nothing is read.

Asked right before something that serves is stopped for it: what was removed since `checksum` costs no outage then.
"""

import logging
from contextlib import suppress
from pathlib import Path

from steps.clients import place as places
from steps.clients.place import Place
from steps.clients.volume_errors import translated
from steps.core import manifest as manifests
from steps.core import transfer
from steps.core.manifest import Manifest
from steps.errors import Corrupt, Missing, StepError, Transient

SHOWN = 5
"""Files that the sentence names."""
_MAKE_RIGHT = "`python -m workflows.audit --all --repair` publishes it anew, then promote again"

log = logging.getLogger(__name__)


def require_whole(directory: Path) -> None:
    """Raises Corrupt where no server could start from it, saying what is wrong with which directory, and what to do.

    What cannot be seen at this moment is no verdict, nor are files beside those that its manifest names.
    """
    place = Place(directory.absolute().parents[1], directory.absolute().parent.name, directory.name)
    try:
        said = _wrong(place)
    except (Missing, Transient, OSError) as err:
        log.warning("whether %s is whole cannot be seen: %s", place.published, err)
        return
    if said:
        raise Corrupt(f"{place.published} {said}")


def _wrong(place: Place) -> str:
    """The rest of the sentence, empty where nothing is known to be."""
    if not place.is_published():
        return "has been removed since it was checked; see who did that, the next promotion brings it back"
    if not (entries := places.entries(place.published)):
        return f"has been emptied since it was checked; {_MAKE_RIGHT}"
    if (manifest := _manifest(place)) is None:
        return ""
    named = {f.path for f in manifest.files}
    wrong = [f"{path}: {word}" for path, word in transfer.by_path(manifest, entries).items() if path in named]
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"has been changed since it was checked ({'; '.join(wrong[:SHOWN])}{more}); {_MAKE_RIGHT}" if wrong else ""


def _manifest(place: Place) -> Manifest | None:
    """None where it cannot be had: a server needs none."""
    with suppress(StepError, FileNotFoundError), translated("read", place.manifest):
        return manifests.parse(place.manifest.read_bytes(), str(place.manifest))
    return None
