import pytest

from steps import releases
from steps.core.names import Layout
from steps.errors import Corrupt, Missing
from tests.stubs.released import Released
from tests.stubs.store import FakeStore

LAYOUT = Layout("pre/fix")
RELEASED = Released({"a": b"1"}, layout=LAYOUT)


def test_a_release_is_read_as_resolve_wrote_it():
    store = FakeStore()
    RELEASED.resolve_into(store)
    assert releases.read(store, LAYOUT, "chat", RELEASED.release_id) == RELEASED.document


def test_a_release_that_is_not_there_is_missing_and_the_message_names_the_key():
    with pytest.raises(Missing, match=r"pre/fix/releases/chat/000000000000\.json; promote its model"):
        releases.read(FakeStore(), LAYOUT, "chat", "0" * 12)


def test_a_document_under_the_name_of_another_release_is_corrupt():
    store = FakeStore()
    store.put(LAYOUT.release("other", RELEASED.release_id), RELEASED.document.dump())
    with pytest.raises(Corrupt, match="holds release"):
        releases.read(store, LAYOUT, "other", RELEASED.release_id)


def test_a_document_that_is_none_is_corrupt():
    store = FakeStore()
    store.put(LAYOUT.release("chat", "0" * 12), b"<html>")
    with pytest.raises(Corrupt, match="is not a release"):
        releases.read(store, LAYOUT, "chat", "0" * 12)
