"""Own work on this machine without a run: as long as the command lives, everybody can see that its owner does."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.clients.local.journal import LocalJournal
from workflows.local.locks import Lock
from workflows.naming import run_name


@contextmanager
def owning(home: Path, verb: str) -> Iterator[str]:
    """A new owner's name, alive until the context is left."""
    journal, name = LocalJournal(home), run_name(verb)
    lock = Lock(journal.alive_lock(name))
    taken = lock.take(name)
    assert taken, "the name is new"
    try:
        yield name
    finally:
        lock.let_go()
        shutil.rmtree(journal.directory(name), ignore_errors=True)
