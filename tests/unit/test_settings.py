from pathlib import Path

import pytest

from steps.errors import BadInput
from steps.settings import from_environment


def settings(**environ):
    return from_environment(
        {f"VLLM_PROMOTE_{k}" if k.isupper() and not k.startswith("HF") else k: v for k, v in environ.items()}
    )


def test_the_defaults_are_those_of_the_design():
    found = from_environment({})

    assert (found.bucket, found.prefix, found.device) == ("models", "", "cuda")
    assert (found.catalog, found.volume) == (Path("catalog.yaml"), Path("/models"))
    assert found.hub_endpoint == "https://huggingface.co"
    assert (found.startup_budget_seconds, found.progress_file, found.local_dir) == (None, None, None)


def test_an_empty_variable_is_one_that_is_not_set():
    environ = {"VLLM_PROMOTE_BUCKET": "", "HF_ENDPOINT": "", "ARGO_PROGRESS_FILE": "", "VLLM_PROMOTE_DEVICE": ""}
    assert from_environment(environ) == from_environment({})


def test_what_is_set_is_taken():
    found = settings(
        BUCKET="b-1",
        PREFIX="a/b",
        DEVICE="cpu",
        SERVING="local:///x/y",
        HF_ENDPOINT="http://h:1/p/",
        STALL_SECONDS="2.5",
    )

    assert (found.bucket, found.prefix, found.device, found.stall_seconds) == ("b-1", "a/b", "cpu", 2.5)
    assert (found.local_dir, found.kube_namespace) == (Path("/x/y"), None)
    assert found.hub_endpoint == "http://h:1/p"


def test_a_cluster_is_named_by_its_namespace_and_the_claim_of_the_models():
    found = settings(SERVING="kube://models-prod", CLAIM="weights")

    assert (found.kube_namespace, found.claim, found.local_dir) == ("models-prod", "weights", None)
    assert from_environment({}).claim == "models"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUCKET", "Models"),
        ("PREFIX", "/a"),
        ("DEVICE", "tpu"),
        ("SERVING", "kube"),
        ("SERVING", "ssh://x"),
        ("SERVING", "kube://Not_A_Namespace"),
        ("S3_CHECKSUMS", "never"),
        ("ONE_PASS", "perhaps"),
        ("STALL_SECONDS", "soon"),
        ("STALL_SECONDS", "0"),
        ("STALL_SECONDS", "-1"),
        ("STALL_SECONDS", "nan"),
        ("STALL_SECONDS", "inf"),
        ("SMOKE_TIMEOUT_SECONDS", "1e10"),
        ("STARTUP_BUDGET_SECONDS", "-5"),
    ],
)
def test_what_cannot_work_is_named(name, value):
    with pytest.raises(BadInput, match=name if "_" in name or name in ("DEVICE", "SERVING") else name.lower()):
        settings(**{name: value})


@pytest.mark.parametrize(
    "value",
    ["huggingface.co", "ftp://x", "https://", "https://user:canary@x", "https://x/?a", "https://x y", "file:///x"],
)
def test_a_hub_s_address_is_checked_and_never_repeated(value):
    with pytest.raises(BadInput, match=r"^HF_ENDPOINT is no address") as caught:
        settings(HF_ENDPOINT=value)
    assert "canary" not in str(caught.value)
