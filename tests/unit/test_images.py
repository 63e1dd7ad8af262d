import pytest

from steps.core.catalog import Entry, release
from steps.core.images import Copy, check_registry, copies, rewritten
from steps.core.manifest import File, build
from steps.errors import BadInput

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "target"),
    [
        ("vllm/vllm-openai:v0.32.0", "registry.example/ai/vllm/vllm-openai:v0.32.0"),
        (f"vllm/vllm-openai:v1@{DIGEST}", f"registry.example/ai/vllm/vllm-openai:v1@{DIGEST}"),
        ("quay.example/team/vllm:v1", "registry.example/ai/team/vllm:v1"),
        ("localhost/team/vllm:v1", "registry.example/ai/team/vllm:v1"),
        ("localhost:5000/vllm:v1", "registry.example/ai/vllm:v1"),
        ("python:3.11", "registry.example/ai/python:3.11"),
        ("registry.example/ai/vllm:v1", "registry.example/ai/vllm:v1"),
    ],
)
def test_an_image_keeps_its_repository_tag_and_digest_below_the_registry(image, target):
    assert rewritten(image, "registry.example/ai") == target


def test_without_a_registry_an_image_stays_as_it_is():
    assert rewritten("quay.example/team/vllm:v1", "") == "quay.example/team/vllm:v1"


def test_what_to_copy_is_listed_once_and_in_order_without_what_is_there():
    images = ["b/b:1", "a/a:1", "b/b:1", "registry.example/c:1"]
    listed = copies(images, "registry.example")
    assert listed == (Copy("a/a:1", "registry.example/a/a:1"), Copy("b/b:1", "registry.example/b/b:1"))


def test_two_images_that_would_become_one_are_refused():
    with pytest.raises(BadInput, match=r"a\.example/vllm:1 and b\.example/vllm:1 would both become r\.example/vllm:1"):
        copies(["a.example/vllm:1", "b.example/vllm:1"], "r.example")


@pytest.mark.parametrize("text", ["https://registry.example", "registry.example/", "registry.example/UP", "a b", "/x"])
def test_what_is_no_registry_is_refused(text):
    with pytest.raises(BadInput, match="is no registry; write HOST/PATH"):
        check_registry(text)


@pytest.mark.parametrize("text", ["", "registry.example", "registry.example:5000/team/ai", "10.0.0.1:5000"])
def test_a_registry_is_a_host_with_or_without_a_path(text):
    assert check_registry(text) == text


@pytest.mark.parametrize("image", [None, "vllm/vllm-openai:v0.32.0"])
def test_a_release_names_the_image_that_really_runs(image):
    manifest = build("org/tiny", "a" * 40, (File("model.safetensors", 1, "0" * 64),))
    made = release(Entry(model="org/tiny", image=image), "chat", manifest, "cuda", "registry.example/ai")
    assert made.serving.image == "registry.example/ai/vllm/vllm-openai:v0.32.0"
