"""Read again what is stored and what is published, tell every difference, and make one copy right out of the other.

Nothing is changed unless that is asked for.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from steps import mending, releases
from steps.copies import InStore, OnVolume, Side
from steps.core import audit as core
from steps.core.audit import Copy, Findings, Place, Subject, Tally
from steps.core.manifest import Manifest
from steps.core.names import Layout
from steps.entry import run_step
from steps.errors import BadInput, Corrupt, Missing, Transient
from steps.mending import Means
from steps.scheduled import AUDIT, AuditInputs, AuditOutputs
from steps.settings import Settings
from steps.several import Failures

Tell = Callable[[str], None]
MEND: Mapping[Place, Callable[[Means, Manifest, Findings], None]] = {"store": mending.store, "volume": mending.volume}
"""The store first: the volume is published from it."""
RESTART = "right again; a model server that started while it was not may still have what it read then"
MENDS = "with --repair one copy is made right out of the other"
LEFT = "what is left nobody has right, or has the right to change: see above"
SHOWN = 5

log = logging.getLogger(__name__)


def audit(inputs: AuditInputs, means: Means, tell: Tell) -> AuditOutputs:
    """Raises Corrupt where a difference is left, or what kept a commit from being looked at or repaired.

    All others have had their turn by then, and been told.
    """
    auditor = _Auditor(means, _places(inputs), tell)
    subjects = auditor.subjects(core.parse(inputs.commits), everything=inputs.everything)
    failures, found, left, failed = Failures(), list[Findings](), list[Findings](), 0
    for subject in subjects:
        seen = failures.keep(str(subject), partial(auditor.look, subject))
        failed += seen is None
        found += seen or []
        left += (auditor.repair(subject, seen, failures) if inputs.repair else seen) if seen else []
    tally = Tally(commits=len(subjects), failed=failed, found=_count(found), left=_count(left), repair=inputs.repair)
    tell(tally.summary())
    failures.tell()
    if left:
        raise Corrupt(f"{tally.summary()}: {_first(left)}; {LEFT if inputs.repair else MENDS}")
    return AuditOutputs(differences=tally.found, summary=tally.summary())


@dataclass(frozen=True)
class _Auditor:
    means: Means
    places: tuple[Place, ...]
    tell: Tell

    @property
    def sides(self) -> tuple[Side, Side]:
        return InStore(self.means.store, self.means.layout), OnVolume(self.means.volume)

    def subjects(self, named: Sequence[Subject], *, everything: bool) -> tuple[Subject, ...]:
        """Those that somebody depends on first."""
        more = [s for side in self.sides if side.place in self.places for s in side.subjects()] if everything else []
        known = {(s.model, s.commit) for s in named}
        return tuple(dict.fromkeys([*named, *(s for s in more if (s.model, s.commit) not in known)]))

    def look(self, subject: Subject, only: Iterable[Place] | None = None) -> list[Findings]:
        """What is wrong, told line by line."""
        copies = {side.place: self._copy(side, subject) for side in self.sides}
        right = self._right(subject, copies)
        places = self.places if only is None else tuple(only)
        looked = [
            self._findings(side, subject, copies[side.place], right) for side in self.sides if side.place in places
        ]
        found = [f for f in looked if f.count]
        for line in (line for f in found for line in f.lines()):
            self.tell(line)
        return found

    def repair(self, subject: Subject, found: Sequence[Findings], failures: Failures) -> list[Findings]:
        """What is left afterwards."""
        right = self._right(subject, {side.place: self._copy(side, subject) for side in self.sides})
        if right is None:
            return [*found]
        for each in found:
            self.tell(f"{each.place}: {subject}: repairing")
            failures.keep(f"{each.place}: {subject}", partial(MEND[each.place], self.means, right, each))
        again = failures.keep(str(subject), partial(self.look, subject, [f.place for f in found]))
        if again == [] and subject.manifest_sha256 and any(f.place == "volume" for f in found):
            self.tell(f"volume: {subject}: {RESTART}")
        return [*found] if again is None else again

    def _copy(self, side: Side, subject: Subject) -> Copy:
        """A place that is not asked about need not even be there."""
        try:
            return side.copy(subject)
        except (Missing, Transient) as err:
            if side.place in self.places:
                raise
            log.info("%s is not asked: %s", side.place, err)
            return Copy()

    def _right(self, subject: Subject, copies: Mapping[Place, Copy]) -> Manifest | None:
        found = core.right_one(subject, [c.manifest for c in copies.values()])
        if found is None and subject.manifest_sha256 and "store" in self.places:
            return releases.manifest(self.means.store, self.means.layout, subject.manifest_sha256)
        return found

    def _findings(self, side: Side, subject: Subject, copy: Copy, right: Manifest | None) -> Findings:
        found = core.compare(side.place, subject, copy, right)
        if right is None or copy.absent:
            return found
        files = core.to_read(copy, right)
        self.tell(core.reading(side.place, subject, files))
        return found.and_content(side.digests(right, files), right)


def _places(inputs: AuditInputs) -> tuple[Place, ...]:
    asked: dict[Place, bool] = {"store": inputs.store, "volume": inputs.volume}
    if not any(asked.values()):
        raise BadInput("neither store nor volume is to be audited; ask for one of them, or for both")
    return tuple(place for place, wanted in asked.items() if wanted)


def _count(found: Sequence[Findings]) -> int:
    return sum(f.count for f in found)


def _first(left: Sequence[Findings]) -> str:
    lines = [line for f in left for line in f.lines()]
    more = f" and {len(lines) - SHOWN} more, see the log" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def main(inputs: AuditInputs, settings: Settings) -> AuditOutputs:
    return audit(inputs, connect(settings), lambda line: log.info("%s", line))


def connect(settings: Settings) -> Means:
    from steps.clients import hub, store, volume

    return Means(
        store=store.connect(settings),
        volume=volume.Directory(settings.volume),
        hub=lambda: hub.connect(settings),
        layout=Layout(settings.prefix),
    )


if __name__ == "__main__":
    sys.exit(run_step(AUDIT, main))
