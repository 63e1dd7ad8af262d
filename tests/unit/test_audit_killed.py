"""A repair is killed before and after every call that changes something: nothing is worse, the next one finishes."""

import errno
import itertools
import shutil
from functools import partial
from pathlib import Path

import pytest

from steps.clients import replacing
from tests.stubs.audited import IN_STORE, SHARD, Audited, flip, put
from tests.stubs.killed import CALLS, killed_at
from tests.stubs.store import FakeStore
from tests.stubs.weights import safetensors

SMALL = {"config.json": b"{}", "sub/a.txt": b"a", SHARD: safetensors({"w": bytes(64)})}
EXCHANGE = (replacing, "exchange")


def damaged(root: Path) -> Audited:
    world = Audited(root, content=SMALL)
    flip(SHARD)(world)
    (world.published / "evil.py").write_bytes(b"x")
    return world


LONG = pytest.mark.exhaustive


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=LONG)])
def test_whenever_it_is_killed_the_name_leads_to_the_damaged_directory_or_to_the_good_one(tmp_path, when):
    assert killed_everywhere(tmp_path, when, may_be_away=False) == 0


@pytest.mark.parametrize("when", [pytest.param("before", marks=LONG), "after"])
def test_where_names_cannot_be_exchanged_the_name_is_away_between_two_renames_alone(tmp_path, when, monkeypatch):
    def cannot(one, other):
        raise OSError(errno.EINVAL, "as NFS says")

    monkeypatch.setattr(replacing, "exchange", cannot)
    assert killed_everywhere(tmp_path, when, may_be_away=True) == 1


def killed_everywhere(root: Path, when: str, *, may_be_away: bool) -> int:
    """How often the name was away."""
    away, reached = 0, 0
    for number in itertools.count(1):
        world = damaged(root / str(number))
        was = world.directory()
        if not killed_at(number, when, partial(world.audit, repair=True), (*CALLS, EXCHANGE)):
            break
        reached = number
        if world.published.exists():
            assert world.directory() in (was, dict(world.content))
        else:
            away += 1
            (whole,) = world.root.glob(".staging/*/*")  # for the next attempt
            assert {p.name for p in whole.iterdir()} == {path.partition("/")[0] for path in world.content}
        assert may_be_away or not away
        world.audit(repair=True)
        assert world.volume_is_right()
        assert world.store_is_right()
        shutil.rmtree(world.root)
    assert reached > 40
    return away


class Dead(BaseException):
    """As if the process had ended here."""


class Mortal(FakeStore):
    """Dies at its so manyeth change."""

    left = 10**9

    def put(self, key, body):
        self.count()
        super().put(key, body)
        self.count()

    def delete(self, key):
        self.count()
        super().delete(key)
        self.count()

    def upload(self, key, size, sha256):
        self.count()
        return super().upload(key, size, sha256)

    def count(self):
        self.left -= 1
        if not self.left:
            raise Dead


def test_whenever_it_dies_no_object_of_the_store_that_was_right_is_lost(tmp_path):
    reached = 0
    for number in itertools.count(1):
        store = Mortal()
        world = Audited(tmp_path / str(number), store=store)
        for damage in (put(SHARD, lambda body: body[:9]), IN_STORE["missing"][1], IN_STORE["extra"][1]):
            damage(world)
        IN_STORE["no manifest"][1](world)
        right = {path for path in world.content if world.store.get(world.model.key(path)) == world.content[path]}
        store.left = number
        try:
            world.audit(repair=True)
        except Dead:
            reached = number
        store.left = 10**9
        now = {path for path in world.content if world.store.get(world.model.key(path)) == world.content[path]}
        assert right <= now
        assert world.store.get(world.model.manifest_key) is None or now == set(world.content)  # it promises all of them
        world.audit(repair=True)
        assert world.store_is_right()
        if reached < number:
            break
    assert reached >= 6
