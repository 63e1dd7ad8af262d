import hashlib
import time
from dataclasses import asdict, replace

import pytest

from steps.clients.catalog import read
from steps.contracts import ResolveInputs
from steps.core.catalog import Catalog, parse
from steps.core.licence import HEAD_LIMIT, declared
from steps.core.manifest import parse as parse_manifest
from steps.core.names import Layout
from steps.core.release import parse_document
from steps.errors import BadInput, Corrupt, Missing, Refused, Transient
from steps.resolve import SIDE_BY_SIDE, plan, resolve
from steps.settings import from_environment
from tests.stubs.hub import FakeHub
from tests.stubs.store import FakeStore

MODEL = "org/name"
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.model": b"in LFS",
    "evil.py": b"print()",
    ".gitattributes": b"",
}
KEPT = ("README.md", "config.json", "model.safetensors", "tokenizer.model")
SETTINGS = from_environment({"VLLM_PROMOTE_PREFIX": "pre/fix", "VLLM_PROMOTE_DEVICE": "cpu"})
LAYOUT = Layout("pre/fix")
INPUTS = ResolveInputs(model=MODEL, revision="main", deployment="chat")
CODE = {"config.json": b'{"auto_map": {"AutoModel": "evil.Model"}}'}


@pytest.fixture
def hub():
    return FakeHub()


@pytest.fixture
def store():
    return FakeStore()


def planned(hub, store, inputs=INPUTS, catalog=None):
    return plan(inputs, hub, store, catalog or Catalog(), SETTINGS)


def resolved(hub, store, inputs=INPUTS, catalog=None):
    return resolve(inputs, hub, store, catalog or Catalog(), SETTINGS)


def mirrored(hub, store, files=FILES):
    """As the store is after ``mirror``; its commit."""
    document = planned(hub, store).document
    for file in document.manifest.files:
        store.put(LAYOUT.model_file(MODEL, document.manifest.commit, file.path), files[file.path])
    store.put(LAYOUT.manifest(MODEL, document.manifest.commit), document.manifest.dump())
    return document.manifest.commit


def test_the_release_is_written_with_every_file_s_own_sha256(hub, store):
    commit = hub.publish(MODEL, FILES)
    outputs = resolved(hub, store)
    document = parse_document(store.get(LAYOUT.release("chat", outputs.release_id)), "the test")

    assert (outputs.model, outputs.commit, outputs.deployment) == (MODEL, commit, "chat")
    assert {f.path: f.sha256 for f in document.manifest.files} == {
        path: hashlib.sha256(FILES[path]).hexdigest() for path in KEPT
    }
    assert outputs.manifest_sha256 == document.manifest.sha256 == document.release.manifest_sha256
    assert outputs.total_bytes == sum(len(FILES[path]) for path in KEPT)
    assert document.release.serving.device == "cpu"


def test_a_plan_names_what_is_left_behind_and_writes_nothing(hub, store):
    hub.publish(MODEL, FILES)

    assert planned(hub, store).left_behind == (".gitattributes", "evil.py")
    assert store.list("") == {}


def test_the_same_again_writes_nothing(hub, store):
    hub.publish(MODEL, FILES)
    first = resolved(hub, store)
    store.writable = False

    assert resolved(hub, store) == first


def test_what_only_changes_how_a_release_is_brought_in_keeps_its_id_and_renews_its_document(hub, store):
    hub.publish(MODEL, FILES)
    first = resolved(hub, store)
    catalog = parse(f"deployments: {{chat: {{model: {MODEL}, replicas: 3}}}}", "catalog.yaml")

    assert resolved(hub, store, catalog=catalog) == first
    document = parse_document(store.get(LAYOUT.release("chat", first.release_id)), "the test")
    assert document.release.replicas == 3


def test_a_branch_that_moved_is_another_release(hub, store):
    hub.publish(MODEL, FILES)
    first = resolved(hub, store)
    hub.publish(MODEL, {**FILES, "model.safetensors": b"other"})

    assert resolved(hub, store).release_id != first.release_id
    pinned = replace(INPUTS, revision=first.commit)
    assert resolved(hub, store, pinned) == first


@pytest.mark.parametrize("field", ["model", "revision", "deployment"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "x\n",
        "a;b",
        "$(id)",
        "{{workflow.parameters.x}}",
        "{{=1+1}}",
        "x''' if 1 else r'''",
        "../../etc",
        "\0",
        "é",
        "x" * 1025,
        "-rf",
    ],
)
def test_no_parameter_is_believed_because_the_ui_goes_past_the_command_line(hub, store, field, value):
    with pytest.raises(BadInput, match=f"^{field} "):
        resolved(hub, store, ResolveInputs(**{**asdict(INPUTS), field: value}))
    assert not hub.calls
    assert store.list("") == {}


def test_another_model_than_the_catalog_s_is_refused_before_the_hub_is_asked(hub, store):
    with pytest.raises(BadInput, match="deployment chat is for x/y in the catalog, not org/name"):
        resolved(hub, store, catalog=parse("deployments: {chat: {model: x/y}}", "c"))
    assert not hub.calls


@pytest.mark.parametrize("names", [("../../evil",), ("/abs",), ("A.json", "a.json"), (".cache/x",)])
def test_unsafe_and_twin_names_are_refused(hub, store, names):
    hub.publish(MODEL, FILES)
    hub.list_also(MODEL, *names)
    with pytest.raises(Refused):
        resolved(hub, store)
    assert hub.calls["small_file"] == hub.calls["open"] == 0
    assert store.list("") == {}


def test_pickles_alone_are_refused_by_name(hub, store):
    hub.publish(MODEL, {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(Refused, match=r"no safetensors.*pytorch_model\.bin"):
        resolved(hub, store)


class TestRemoteCode:
    def test_it_is_refused_by_the_name_of_the_file(self, hub, store):
        commit = hub.publish(MODEL, {**FILES, **CODE, "sub/processor_config.json": CODE["config.json"]})
        with pytest.raises(Refused, match=rf"{commit} asks .*\(auto_map\) in config\.json, sub/processor_config\.json"):
            resolved(hub, store)

    def test_it_is_allowed_for_the_commits_that_the_catalog_names(self, hub, store):
        commit = hub.publish(MODEL, {**FILES, **CODE})
        catalog = parse(f"deployments: {{chat: {{model: {MODEL}, allow_auto_map: ['{commit}']}}}}", "c")
        assert resolved(hub, store, catalog=catalog).commit == commit

        hub.publish(MODEL, {**FILES, **CODE, "new.txt": b""})
        with pytest.raises(Refused, match="auto_map"):
            resolved(hub, store, catalog=catalog)

    def test_it_does_not_hide_in_a_file_of_lfs(self, hub, store):
        hub.publish(MODEL, FILES)
        hub.lfs_suffixes = (".safetensors", ".json")  # whoever uploads decides
        hub.publish(MODEL, {**FILES, **CODE})
        with pytest.raises(Refused, match="auto_map"):
            resolved(hub, store)


class TestLicences:
    def catalog(self, licenses, accepted=""):
        return parse(f"licenses: {licenses}\ndeployments: {{chat: {{model: {MODEL}{accepted}}}}}", "c")

    def test_one_that_is_accepted_passes(self, hub, store):
        hub.publish(MODEL, FILES)
        assert resolved(hub, store, catalog=self.catalog("[mit, apache-2.0]"))
        assert resolved(hub, store, catalog=self.catalog("[mit]", ", accept_licenses: [apache-2.0]"))

    def test_another_one_is_refused_by_its_name(self, hub, store):
        hub.publish(MODEL, FILES)
        with pytest.raises(Refused, match=r"has apache-2\.0, and the catalog accepts mit; add it"):
            resolved(hub, store, catalog=self.catalog("[mit]"))

    @pytest.mark.parametrize(
        ("card", "declared"),
        [
            (b"no front matter", "no licence"),
            (b"---\nlicense: [oops\n---\n", "no licence"),
            (b"---\n- a list\n---\n", "no licence"),
            (b"---\nlicense: 5\n---\n", "no licence"),
            (b"\xff\xfe", "no licence"),
            (b"---\r\nlicense: GPL\r\n---\r\n", "gpl"),
            (b"---\nlicense: other\nlicense_name: llama3.1\n---", r"llama3\.1 or other"),
            (b"---\nlicense: [gpl, lgpl]\n---\n", "gpl or lgpl"),
        ],
    )
    def test_cards_say_it_in_many_ways_or_not_at_all(self, hub, store, card, declared):
        hub.publish(MODEL, {**FILES, "README.md": card})
        with pytest.raises(Refused, match=f"has {declared}"):
            resolved(hub, store, catalog=self.catalog("[mit]"))

    def test_without_a_list_any_licence_passes_and_so_does_a_model_without_a_card(self, hub, store):
        hub.publish(MODEL, {k: v for k, v in FILES.items() if k != "README.md"})
        assert resolved(hub, store)
        with pytest.raises(Refused, match="no licence that its card names"):
            resolved(hub, store, catalog=self.catalog("[mit]"))


class TestWithoutTheHub:
    def test_a_commit_that_the_store_has_is_resolved_from_it(self, hub, store):
        hub.publish(MODEL, FILES)
        first = resolved(hub, store)
        commit = mirrored(hub, store)
        hub.down = True

        assert resolved(hub, store, replace(INPUTS, revision=commit)) == first

    def test_a_branch_is_not_guessed_and_the_way_to_pin_is_told(self, hub, store):
        hub.publish(MODEL, FILES)
        commit = mirrored(hub, store)
        hub.down = True

        with pytest.raises(Transient, match=f"give one as the revision, of {commit}$"):
            resolved(hub, store)

    def test_what_the_store_has_not_waits_for_the_hub(self, hub, store):
        commit = hub.publish(MODEL, FILES)
        hub.down = True

        with pytest.raises(Transient, match="the store has no commit of the model either"):
            resolved(hub, store)
        with pytest.raises(Transient, match=f"{commit} is not in the store"):
            resolved(hub, store, replace(INPUTS, revision=commit))

    def test_policy_is_not_asked_less(self, hub, store):
        hub.publish(MODEL, FILES)
        commit = mirrored(hub, store)
        hub.down = True

        with pytest.raises(Refused, match=r"has apache-2\.0"):
            resolved(hub, store, replace(INPUTS, revision=commit), parse("licenses: [mit]", "c"))

    def test_damage_in_the_store_is_not_believed(self, hub, store):
        hub.publish(MODEL, FILES)
        commit = mirrored(hub, store)
        pinned = replace(INPUTS, revision=commit)
        hub.down = True
        store.put(LAYOUT.model_file(MODEL, commit, "config.json"), b"[]")
        with pytest.raises(Corrupt, match=r"the store's config\.json has sha256"):
            resolved(hub, store, pinned)

        manifest = parse_manifest(store.get(LAYOUT.manifest(MODEL, commit)), "the test")
        store.put(LAYOUT.manifest(MODEL, commit), replace(manifest, model="org/other").dump())
        with pytest.raises(Corrupt, match="is the manifest of org/other"):
            resolved(hub, store, pinned)

    def test_a_model_that_is_gone_is_no_hub_that_is_down(self, hub, store):
        hub.publish(MODEL, FILES)
        commit = mirrored(hub, store)
        hub.configure(MODEL, private=True)
        with pytest.raises(Missing):
            resolved(hub, store, replace(INPUTS, revision=commit))


class TestDamageOnTheWay:
    def test_a_small_file_that_is_not_its_blob_ends_it(self, hub, store):
        commit = hub.publish(MODEL, FILES)
        hub.damage(MODEL, commit, "config.json", b"[]")
        with pytest.raises(Corrupt):
            resolved(hub, store)
        assert store.list("") == {}

    def test_so_does_a_file_of_lfs_that_is_not_its_digest(self, hub, store):
        hub.lfs_suffixes = (".safetensors", ".json")
        commit = hub.publish(MODEL, FILES)
        hub.damage(MODEL, commit, "config.json", b"[]")
        with pytest.raises(Corrupt, match=r"config\.json has sha256"):
            resolved(hub, store)


class TestTheCatalogsFile:
    def read(self, path, **environ):
        return read(from_environment({"VLLM_PROMOTE_CATALOG": str(path), **environ}))

    def test_it_is_read(self, tmp_path):
        (tmp_path / "c.yaml").write_text("deployments: {chat: {model: org/name}}")
        assert self.read(tmp_path / "c.yaml").entry("chat").model == MODEL

    def test_its_errors_name_it(self, tmp_path):
        (tmp_path / "c.yaml").write_text("deployments: {chat: {}}")
        with pytest.raises(BadInput, match=rf"^{tmp_path}/c\.yaml: deployments\.chat\.model: must be given"):
            self.read(tmp_path / "c.yaml")

    def test_in_a_cluster_it_has_to_be_there(self, tmp_path):
        with pytest.raises(BadInput, match=r"there is no catalog at .*/c\.yaml"):
            self.read(tmp_path / "c.yaml")

    def test_on_one_machine_or_where_nobody_named_one_none_is_an_empty_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert self.read(tmp_path / "c.yaml", VLLM_PROMOTE_SERVING="local:///x") == Catalog()
        assert read(from_environment({})) == Catalog()

    def test_what_cannot_be_read_is_said(self, tmp_path):
        (tmp_path / "c.yaml").write_bytes(b"\xff")
        for path in (tmp_path / "c.yaml", tmp_path):
            with pytest.raises(BadInput, match="cannot be read"):
                self.read(path)


def test_large_files_that_must_be_read_are_in_memory_one_at_a_time(store):
    class Counting(FakeHub):
        now = most = 0

        def small_file(self, model, commit, file):
            self.now += 1
            self.most = max(self.most, self.now)
            time.sleep(0.02)
            self.now -= 1
            return super().small_file(model, commit, file)

    hub = Counting()
    hub.publish(MODEL, {"model.safetensors": b"", **{f"{n}.json": b" " * (SIDE_BY_SIDE + 1) for n in range(4)}})
    resolved(hub, store)
    assert hub.most == 1


def test_the_front_matter_of_a_card_ends_within_the_first_mebibyte():
    assert declared(b"---\nlicense: mit\n---\n" + b"x" * HEAD_LIMIT) == {"mit"}
    assert declared(b"---\nlicense: mit\n" + b"# x\n" * HEAD_LIMIT + b"---\n") == frozenset()
