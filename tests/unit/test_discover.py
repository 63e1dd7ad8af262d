import pytest

from steps.core.catalog import parse as parse_catalog
from steps.core.names import Layout
from steps.discover import Outside, discover
from steps.errors import BadInput, Missing, Transient
from steps.refresh import read
from steps.resolve import resolve
from steps.scheduled import DiscoverInputs, DiscoverOutputs
from steps.settings import from_environment
from tests.stubs.hub import FakeHub
from tests.stubs.scene import FakeClock
from tests.stubs.store import FakeStore

LAYOUT, CLOCK = Layout("p"), FakeClock()
SETTINGS = from_environment({"VLLM_PROMOTE_PREFIX": "p", "VLLM_PROMOTE_DEVICE": "cpu"})
CATALOG = """
deployments:
  chat: {model: org/a}
  other: {model: org/b, refresh: promote}
  pinned: {model: org/c, refresh: never}
"""


@pytest.mark.parametrize("word", ["off", "yes", "nightly"])
def test_the_catalog_takes_no_other_word(word):
    with pytest.raises(BadInput, match=r"deployments\.chat\.refresh: must be 'propose', 'promote' or 'never'"):
        parse_catalog(f"deployments: {{chat: {{model: a/b, refresh: {word}}}}}", "c")


@pytest.fixture
def hub():
    hub = FakeHub()
    for name in "abc":
        hub.publish(f"org/{name}", {"config.json": b"{}", "model.safetensors": name.encode()})
    return hub


@pytest.fixture
def store():
    return FakeStore()


def discovered(hub, store, text=CATALOG):
    catalog = parse_catalog(text, "c")
    return looked(catalog, lambda asked: resolve(asked, hub, store, catalog, SETTINGS), store)


def looked(catalog, resolved, store):
    return discover(
        DiscoverInputs(run="night-1"), catalog, Outside(resolve=resolved, store=store, layout=LAYOUT, clock=CLOCK)
    )


def left(store):
    return read(store, LAYOUT, "night-1", CLOCK)


def test_every_entry_that_is_followed_is_resolved_and_its_release_written_down(hub, store):
    assert discovered(hub, store) == DiscoverOutputs(looked_at=2, refused=0)

    chat, other = left(store)
    assert (chat.deployment, chat.model, chat.refresh) == ("chat", "org/a", "propose")
    assert (other.deployment, other.model, other.refresh) == ("other", "org/b", "promote")
    assert all(LAYOUT.release(f.deployment, f.release_id) in store.objects for f in (chat, other))


def test_an_entry_that_is_gated_keeps_no_other_from_being_looked_at(hub, store):
    hub.configure("org/a", private=True)
    with pytest.raises(Missing, match="chat: org/a does not exist"):
        discovered(hub, store)

    chat, other = left(store)
    assert "does not exist" in chat.failure
    assert other.commit


def test_what_policy_refuses_is_a_finding_and_no_failure(hub, store):
    assert discovered(hub, store, "licenses: [mit]\n" + CATALOG) == DiscoverOutputs(looked_at=2, refused=2)
    assert all(f.refusal and not f.release_id for f in left(store))


def test_a_hub_that_is_down_is_worth_another_attempt_also_beside_what_is_not(hub, store):
    catalog = parse_catalog(CATALOG, "c")

    def resolved(asked):
        raise Missing("gone") if asked.deployment == "chat" else Transient("down")

    with pytest.raises(Transient, match=r"other: down \(and chat failed"):
        looked(catalog, resolved, store)
