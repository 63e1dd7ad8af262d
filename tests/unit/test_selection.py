import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.names import path_problem
from steps.core.selection import FILES_LIMIT, SMALL_BYTES_LIMIT, named, select, wants_remote_code
from steps.errors import Refused
from steps.ports.hub import HubFile, Tree

COMMIT = "c" * 40
ESSENTIAL = ("config.json", "model.safetensors")


def tree(*paths, size=10, sha256=None):
    files = tuple(HubFile(path=p, size=size, blob_id="b" * 40, sha256=sha256) for p in paths)
    return Tree(model="org/name", commit=COMMIT, files=files)


def kept(*paths):
    return [f.path for f in select(tree(*ESSENTIAL, *paths)).kept if f.path not in ESSENTIAL]


def refusal(*paths, **kwargs):
    with pytest.raises(Refused) as caught:
        select(tree(*paths, **kwargs))
    return str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "tokenizer.json",
        "merges.txt",
        "tokenizer.model",
        "chat_template.jinja",
        "README.md",
        "LICENSE",
        "model-00001-of-00002.safetensors",
        "1_Pooling/config.json",
        "onnx",  # a file of that name is no folder
        "notes/original/x.json",  # only the top folder is a second copy
    ],
)
def test_what_a_model_server_reads_is_kept(path):
    assert kept(path) == [path]


@pytest.mark.parametrize(
    "path",
    [
        *(f"x.{suffix}" for suffix in ("bin", "pt", "pth", "ckpt", "pkl", "pickle", "npy", "npz", "h5", "msgpack")),
        *(f"x.{suffix}" for suffix in ("onnx", "gguf", "py", "sh", "so", "dll", "exe")),
        "EVIL.PY",
        "deep/er/pytorch_model.bin",
        "original/params.json",
        "original/consolidated.00.pth",
        "onnx/config.json",
        ".gitattributes",
        ".github/workflows/x.txt",
        "sub/.git/config.json",
    ],
)
def test_code_pickles_and_second_copies_are_left_behind_and_named(path):
    selection = select(tree(*ESSENTIAL, path))

    assert [f.path for f in selection.kept] == list(ESSENTIAL)
    assert selection.left_behind == (path,)


def test_mistral_s_second_copy_is_left_behind_beside_an_index_only():
    assert kept("consolidated.safetensors") == ["consolidated.safetensors"]
    assert kept("consolidated.safetensors", "model.safetensors.index.json") == ["model.safetensors.index.json"]
    assert kept("sub/consolidated.1.safetensors", "model.safetensors.index.json") == [
        "sub/consolidated.1.safetensors",
        "model.safetensors.index.json",
    ]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../../evil", "'..'"),
        ("a/../b.json", "'..'"),
        ("./a.json", "'..'"),
        ("a//b.json", "empty"),
        ("dir/", "empty"),
        ("", "empty"),
        ("/abs.json", "absolute"),
        ("C:\\x", "absolute"),
        ("c:x.json", "absolute"),
        ("a\\..\\b", "backslash"),
        ("new\nline.json", "control"),
        ("nul\0.json", "control"),
        ("next\x85line", "control"),
        ("line\u2028break", "control"),
        ("right\u202eto-left.json", "control"),
        ("half\ud800surrogate", "control"),
        ("x" * 256, "too long"),
        ("é" * 128, "too long"),
        ("/".join(["dir"] * 257), "too long"),
        (".cache/huggingface/x", "reserved"),
        (".Staging/x", "reserved"),
        (".manifests/x.json", "reserved"),
        (".trash", "reserved"),
    ],
)
def test_an_unsafe_name_refuses_the_model_even_where_the_file_would_be_left_behind(path, problem):
    for name in (path, path + ".bin"):
        if path_problem(name):
            message = refusal(*ESSENTIAL, name)
            assert problem in message or "too long" in message
            assert message.isprintable()
            assert len(message) < 400


@pytest.mark.parametrize(
    "twins",
    [
        ("A.json", "a.json"),
        ("caf\u00e9.json", "cafe\u0301.json"),
        ("STRASSE.txt", "stra\u00dfe.txt"),
        ("same.json", "same.json"),
        ("data", "Data/x.json"),
    ],
)
def test_names_that_are_one_to_some_file_systems_refuse_the_model(twins):
    message = refusal(*ESSENTIAL, *twins)

    assert "same name" in message
    assert twins[0] in message


def test_twins_that_are_left_behind_harm_nobody():
    assert kept("A.bin", "a.bin", "A.BIN") == []


def test_no_safetensors_refuses_the_model_and_names_the_weights_that_are_there():
    assert "it has pytorch_model.bin" in refusal("config.json", "pytorch_model.bin")
    assert "it has unet/x.safetensors" in refusal("config.json", "unet/x.safetensors")
    assert "no weights at all" in refusal("config.json")
    assert "no weights at all" in refusal()


def test_what_must_be_read_is_what_has_no_sha256_and_every_json():
    lfs = tree("model.safetensors", "tokenizer.json", "big.txt", sha256="0" * 64).files
    small = tree("README.md", "config.json").files
    selection = select(Tree(model="org/name", commit=COMMIT, files=lfs + small))

    assert [f.path for f in selection.to_read] == ["tokenizer.json", "README.md", "config.json"]


def test_what_cannot_be_read_whole_refuses_the_model():
    assert "config.json" in refusal(*ESSENTIAL, size=SMALL_BYTES_LIMIT + 1)
    assert f"{FILES_LIMIT + 2} files" in refusal(*ESSENTIAL, *(f"{n}.txt" for n in range(FILES_LIMIT)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"auto_map": {"AutoConfig": "configuration_x.XConfig"}}',
        b'{"auto_map": {}}',
        b'{"auto_map": "org/other--modeling.X"}',
        b'{"text_config": [{"auto_map": {"AutoModel": "m.X"}}]}',
        b'{"\\u0061uto_map": {}}',
        b'{"auto_map": 1, "auto_map": {"AutoModel": "m.X"}}',
        b'{"auto_map": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_remote_code_is_found_wherever_and_however_it_is_written(body):
    assert wants_remote_code(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"vocab": {"auto_map": 4711}}',
        b'{"x": "auto_map"}',
        b"not json",
        b"\xff\xfe{\0",
        b"",
        b"{'auto_map': {}}",
    ],
)
def test_what_asks_for_no_code_passes(body):
    assert not wants_remote_code(body)


@given(st.recursive(st.none() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20))
def test_an_auto_map_is_found_below_any_value(value):
    assert wants_remote_code(json.dumps([value, {"deep": {"auto_map": {"a": value}}}]).encode())


@given(st.recursive(st.none() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_whatever_strings_surround_it_a_token_of_that_name_is_no_code(value):
    """Quotes, backslashes and braces inside of strings among them."""
    body = json.dumps([value, {"auto_map": 7, "x": value, "y": '"auto_map": {}'}], ensure_ascii=False)
    assert not wants_remote_code(body.encode(errors="replace"))


@pytest.mark.parametrize("values", [b'"a":0,', b'"a":[[', b'"\\n', b"{"], ids=["keys", "lists", "escapes", "objects"])
def test_a_publishers_json_takes_no_memory_beside_itself(values):
    body = b"{" + values * (2**20 // len(values))
    tracemalloc.start()
    try:
        assert not wants_remote_code(body)
        assert tracemalloc.get_traced_memory()[1] < 2**18
    finally:
        tracemalloc.stop()


@given(st.lists(st.text(max_size=300), max_size=12))
def test_names_in_a_sentence_are_always_printable(paths):
    assert named(paths).isprintable()


@given(st.text())
def test_a_name_that_passes_stays_below_its_directory(path):
    if path_problem(path) is None:
        assert not path.startswith("/")
        assert not {"", ".", ".."} & set(path.split("/"))
        path.encode()
