"""The history of a run that died: its own report was never written, so whoever puts right what it left files the entry.

No store is needed to put it right, and none that is away fails it.
"""

from contextlib import suppress
from dataclasses import replace

from steps import releases
from steps.contracts import RollbackOutputs
from steps.core import history
from steps.core.account import iso, sortable
from steps.core.history import Entry
from steps.core.names import Layout
from steps.core.outcome import Outcome
from steps.core.record import Record
from steps.errors import Corrupt, StepError
from steps.ports.store import Store
from steps.stage import Stage

OUTCOMES: dict[str, Outcome] = {"completed": "promoted", "rolled-back": "rolled-back", "removed": "rolled-back"}
"""By a rollback's; of what changed nothing there is nothing to tell."""
WORDS = {
    "completed": "completed",
    "rolled-back": "what served before was brought back",
    "removed": "what it had created was removed",
}


def enter(stage: Stage, left: Record, done: RollbackOutputs) -> None:
    """``left`` is the record as the dead run left it, ``done`` what was made of it; waits for a store, not for long."""
    files = stage.files
    if files is None or done.outcome not in OUTCOMES:
        return
    entry, now = _entry(stage, left, done, files.run), stage.clock.now()
    key = files.layout.history(stage.deployment, sortable(now), entry.run)

    def work(store: Store) -> None:
        if not _told(store, files.layout, entry, left.since):
            store.create(key, _named(store, files.layout, entry).dump())

    files.beside("in the history", f"how run {entry.run} ended", work).end()


def _entry(stage: Stage, left: Record, done: RollbackOutputs, by: str) -> Entry:
    """Of a dead owner a name is known on one machine alone; in a cluster it is called by its uid."""
    promoted = done.outcome == "completed"
    return Entry(
        run=left.owner or "unknown",
        deployment=stage.deployment,
        release_id=left.live if promoted else left.candidate,
        model="",
        commit=None,
        outcome=OUTCOMES[done.outcome],
        at=iso(stage.clock.now()),
        outage_seconds=round(done.outage_seconds, 3),
        startup_seconds=None,
        message=f"its run was cut off: {WORDS[done.outcome]} by {by}",
        previous=left.previous,
        by_hand=promoted and left.previous in left.refused,  # which nothing else than a rollback by hand refuses
    )


def _named(store: Store, layout: Layout, entry: Entry) -> Entry:
    """With the model that it was, where its document is kept still."""
    with suppress(StepError):
        release = releases.read(store, layout, entry.deployment, entry.release_id or "").release
        return replace(entry, model=release.model, commit=release.commit)
    return entry


def _told(store: Store, layout: Layout, entry: Entry, since: float | None) -> bool:
    """Whether an entry since the work began says the same: the run's own report may have been written, and not lie."""
    prefix = layout.history_prefix(entry.deployment)
    begun = prefix + sortable(since or 0.0)
    for key in (key for key in store.list(prefix) if key >= begun):
        with suppress(Corrupt):
            told = history.parse(store.get(key) or b"", key)
            if (told.release_id, told.outcome) == (entry.release_id, entry.outcome):
                return True
    return False
