import json
from dataclasses import asdict, replace

import pytest

from steps.core.manifest import File, build
from steps.core.release import Document, Release, Serving, Smoke, from_json, parse_document
from steps.errors import Corrupt

MANIFEST = build("org/name", "c" * 40, (File("model.safetensors", 4096, "1" * 64),))
SERVING = Serving(served_name="org/name", image="vllm/vllm-openai:v1", device="cuda", gpus=1, args=("-x",), pod="{}")
RELEASE = Release(
    deployment="chat",
    model="org/name",
    commit="c" * 40,
    manifest_sha256=MANIFEST.sha256,
    total_bytes=4096,
    serving=SERVING,
)
DOCUMENT = Document(RELEASE, MANIFEST)


def changed(part, **keys):
    value = json.loads(DOCUMENT.dump())
    value[part].update(keys)
    return json.dumps(value).encode()


def test_the_id_is_golden_because_it_names_what_runs_in_clusters_already():
    assert RELEASE.release_id == "232ac6f9e8d2"


@pytest.mark.parametrize(
    "other",
    [
        replace(SERVING, served_name="x"),
        replace(SERVING, image="x"),
        replace(SERVING, device="cpu"),
        replace(SERVING, gpus=2),
        replace(SERVING, args=("-y",)),
        replace(SERVING, pod='{"shmSize":"1Gi"}'),
    ],
    ids=lambda s: next(k for k, v in asdict(s).items() if v != asdict(SERVING)[k]),
)
def test_everything_that_changes_what_the_server_does_changes_the_id(other):
    assert replace(RELEASE, serving=other).release_id != RELEASE.release_id


def test_so_do_other_bytes():
    assert replace(RELEASE, manifest_sha256="0" * 64).release_id != RELEASE.release_id


@pytest.mark.parametrize(
    "how",
    [
        {"replicas": 2},
        {"strategy": "blue-green"},
        {"smoke": Smoke(expect="42")},
        {"startup_budget_seconds": 5.0},
        {"deployment": "other"},
        {"committed": 1e9},
    ],
    ids=lambda how: next(iter(how)),
)
def test_how_it_is_brought_in_does_not(how):
    assert replace(RELEASE, **how).release_id == RELEASE.release_id


def test_what_another_version_of_this_program_has_written_is_read():
    value = RELEASE.to_json()
    del value["committed"]
    for added in ("max_first_token_of_live", "min_tokens_per_second_of_live", "max_logprob_change"):
        del value["smoke"][added]
    assert from_json(value) == RELEASE
    later = {**RELEASE.to_json(), "smoke": {**RELEASE.to_json()["smoke"], "what_comes_later": 1}}
    assert from_json(later) == RELEASE


def test_what_was_written_is_read_back():
    full = replace(
        RELEASE, replicas=3, smoke=Smoke(min_tokens_per_second=1.5), startup_budget_seconds=9.0, committed=1e9
    )

    assert parse_document(Document(full, MANIFEST).dump(), "key") == Document(full, MANIFEST)
    assert from_json(json.loads(json.dumps(full.to_json()))) == full


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(DOCUMENT.dump()[:-1], id="cut"),
        pytest.param(changed("release", release_id="0" * 12), id="another id"),
        pytest.param(changed("release", manifest_sha256="0" * 64), id="another manifest's digest"),
        pytest.param(changed("release", serving={"x": 1}), id="an unknown serving key"),
        pytest.param(changed("release", serving=None), id="no serving"),
        pytest.param(changed("release", smoke={"x": 1}), id="an unknown smoke key"),
        pytest.param(changed("release", model="org/other"), id="another model"),
        pytest.param(changed("release", commit="d" * 40), id="another commit"),
        pytest.param(changed("release", total_bytes=1), id="another size"),
        pytest.param(changed("release", deployment="../x"), id="no deployment"),
        pytest.param(changed("manifest", model="org/other"), id="another model's manifest"),
        pytest.param(changed("manifest", files=[]), id="no files"),
    ],
)
def test_a_document_whose_parts_do_not_prove_each_other_is_corrupt(body):
    with pytest.raises(Corrupt, match=r"^key "):
        parse_document(body, "key")
