import json
from dataclasses import replace

import pytest

from steps.core.manifest import File, Manifest, build, is_sha256, parse
from steps.errors import Corrupt

COMMIT = "c" * 40
FILES = (File("model.safetensors", 4096, "1" * 64), File("caf\u00e9.json", 2, "2" * 64), File("A.json", 0, "3" * 64))
MANIFEST = build("org/name", COMMIT, FILES)


def changed(**keys):
    return json.dumps({**MANIFEST.to_json(), **keys}).encode()


def with_file(**keys):
    return changed(files=[{"path": "x", "size": 1, "sha256": "0" * 64, **keys}])


def test_the_canonical_form_and_its_digest_are_golden():
    assert MANIFEST.dump().decode() == (
        f'{{"commit":"{COMMIT}","files":[{{"path":"A.json","sha256":"{"3" * 64}","size":0}},'
        f'{{"path":"caf\u00e9.json","sha256":"{"2" * 64}","size":2}},'
        f'{{"path":"model.safetensors","sha256":"{"1" * 64}","size":4096}}],"model":"org/name","version":1}}'
    )
    assert MANIFEST.sha256 == "4469d27c710067ba11f57e0156d08d9796c770682c8d1c306a8766f6448b08b8"


def test_files_are_sorted_by_code_point_whatever_order_they_came_in():
    assert [f.path for f in MANIFEST.files] == ["A.json", "caf\u00e9.json", "model.safetensors"]
    assert build("org/name", COMMIT, FILES[::-1]) == MANIFEST
    assert MANIFEST.total_bytes == 4098


def test_what_was_written_is_read_back():
    assert parse(MANIFEST.dump(), "key") == MANIFEST


def test_one_byte_of_difference_is_another_identity():
    one = (replace(FILES[0], size=4097), *FILES[1:])
    assert build("org/name", COMMIT, one).sha256 != MANIFEST.sha256
    assert Manifest("org/other", COMMIT, MANIFEST.files).sha256 != MANIFEST.sha256


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not json", id="not JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(MANIFEST.dump()[:-1], id="cut"),
        pytest.param(MANIFEST.dump() + b"\n", id="a final newline"),
        pytest.param(json.dumps(MANIFEST.to_json()).encode(), id="spaces"),
        pytest.param(MANIFEST.dump().replace(b'"version":1', b'"version":1.0'), id="another way to write a number"),
        pytest.param(changed(version=2), id="another version"),
        pytest.param(changed(model="../x"), id="no model"),
        pytest.param(changed(model=5), id="a number for a model"),
        pytest.param(changed(commit="main"), id="a branch"),
        pytest.param(changed(files={}), id="files are a mapping"),
        pytest.param(changed(files=[5]), id="a file is a number"),
        pytest.param(changed(files=[{"path": "x"}]), id="a file without size"),
        pytest.param(changed(files=[*MANIFEST.to_json()["files"]] * 2), id="a path twice"),
        pytest.param(with_file(size=-1), id="negative"),
        pytest.param(with_file(size=True), id="true for a size"),
        pytest.param(with_file(size=1.0), id="1.0 for a size"),
        pytest.param(with_file(sha256="0" * 63), id="short digest"),
        pytest.param(with_file(sha256="A" * 64), id="upper-case digest"),
        pytest.param(with_file(sha256=None), id="no digest"),
        pytest.param(with_file(path="../../etc/passwd"), id="traversal"),
        pytest.param(with_file(path="/etc/passwd"), id="absolute"),
        pytest.param(with_file(path=5), id="a number for a path"),
    ],
)
def test_what_we_cannot_have_written_is_corrupt_and_says_where(body):
    with pytest.raises(Corrupt, match=r"^key is not"):
        parse(body, "key")


def test_digests_have_one_form():
    assert is_sha256("0" * 64)
    assert not is_sha256("0" * 64 + "\n")
