"""Mirror is killed before and after every call that changes the volume; then it runs again, and populate."""

import itertools
import shutil
from functools import partial
from pathlib import Path

import pytest

from steps.clients.volume import Directory
from steps.contracts import MirrorInputs
from steps.mirror import mirror
from tests.stubs.hub import FakeHub
from tests.stubs.killed import killed_at
from tests.stubs.store import FakeStore
from tests.unit import test_populate_killed as after
from tests.unit.test_populate_killed import MODEL, assert_whole_or_absent, leave_debris, publish_another, published


@pytest.mark.exhaustive
@pytest.mark.parametrize("when", ["before", "after"])
def test_whenever_it_is_killed_what_is_published_is_whole_and_the_next_run_finishes(tmp_path, when):
    """What the killed one had in the store is lost with it: the next one begins there anew, and here goes on."""
    hub = FakeHub()
    hub._files[MODEL.model, MODEL.commit] = dict(MODEL.content)
    reached = 0
    for number in itertools.count(1):
        volume = tmp_path / str(number)
        volume.mkdir()
        publish_another(volume)
        leave_debris(volume)
        store = FakeStore()
        MODEL.resolve_into(store)
        if not killed_at(number, when, partial(run, hub, store, volume)):
            break
        reached = number
        assert_whole_or_absent(volume)
        run(hub, store, volume)
        assert_whole_or_absent(volume)
        after.run(store, volume)
        assert_whole_or_absent(volume)
        assert published(volume).is_dir()
        assert [p for p in (volume / ".staging").rglob("*") if p.is_file()] == []
        shutil.rmtree(volume)
    assert reached > 40


def run(hub: FakeHub, store: FakeStore, volume: Path) -> None:
    inputs = MirrorInputs(deployment=MODEL.deployment, release_id=MODEL.release_id)
    mirror(inputs, hub, store, MODEL.layout, volume=Directory(volume))
