"""Whatever is wrong with what was asked: one sentence, the right exit code, and nothing has changed."""

import pytest

from tests.stubs.machine import Ended, served_root
from tests.stubs.s3 import READER
from tests.stubs.weights import safetensors
from tests.stubs.world import World

WHOLE = {"config.json": b"{}", "model.safetensors": safetensors({"a": b"1234"})}
GOOD = ("--model", "acme/tiny")


def state(world: World) -> tuple[object, ...]:
    return world.objects(), world.machine.digest("volume", "serving"), world.server_pids()


def check_untouched(world: World, before: tuple[object, ...], ended: Ended, *words: str) -> None:
    """Reports and releases that were resolved may be new; models, volume, record and servers are not."""
    objects, *rest = state(world)
    new = set(objects) ^ set(before[0])  # type: ignore[call-overload]  # a dict of objects comes first
    assert not [key for key in new if "/models/" in key or "/manifests/" in key]
    assert rest == list(before[1:])
    assert served_root(world.url)
    for word in words:
        assert word in ended.text
    assert "Traceback" not in ended.text


USAGE = {
    "a model that is no model": (("--model", "../../etc"), "ORG/NAME"),
    "code in the model": (("--model", "x''' if __import__('os') else r'''"), "ORG/NAME"),
    "a template in the model": (("--model", "{{workflow.name}}"), "ORG/NAME"),
    "a revision that is no revision": ((*GOOD, "--revision", "a..b"), "a branch, a tag or a commit"),
    "a revision of many words": ((*GOOD, "--revision", "main; rm -rf /"), "a branch, a tag or a commit"),
    "a deployment that is no name": ((*GOOD, "--deployment", "No_Name"), "lower-case"),
    "another model's deployment": (("--model", "acme/other", "--deployment", "chat"), "acme/tiny"),
    "an unknown flag": ((*GOOD, "--modle", "x"), "--modle"),
    "no model": ((), "--model"),
}


@pytest.mark.parametrize("case", USAGE)
def test_what_is_wrong_without_asking_anyone_is_usage(served: World, case: str):
    arguments, words = USAGE[case]
    before = state(served)

    ended = served.machine.promote(*arguments)

    assert ended.code == 2, ended.text
    check_untouched(served, before, ended, words)


@pytest.mark.parametrize(
    ("catalog", "words"),
    [
        ("deployments: [", "line 1"),
        ("deployments: {chat: {model: acme/tiny, replicas: none}}", "deployments.chat.replicas"),
        ("deployments: {chat: {model: acme/tiny, replcas: 2}}", "replicas"),
        ("deployments: {chat: {model: acme/tiny, args: [--trust-remote-code]}}", "--trust-remote-code"),
    ],
)
def test_a_catalog_with_an_error_says_where(served: World, catalog: str, words: str):
    path = served.directory / "broken.yaml"
    path.write_text(catalog)
    before = state(served)

    ended = served.promote(VLLM_PROMOTE_CATALOG=str(path))

    assert ended.code == 2, ended.text
    check_untouched(served, before, ended, words)


def test_what_the_hub_does_not_have_is_told_apart(served: World):
    served.hub.publish("acme/gated", WHOLE)
    served.hub.configure("acme/gated", gated=True)
    served.hub.publish("acme/new", WHOLE)
    served.hub.publish("acme/old", WHOLE)
    served.hub.configure("acme/old", renamed_to="acme/new")
    before = state(served)
    for arguments, words in [
        (("--model", "acme/absent"), "acme/absent"),
        (("--model", "acme/tiny", "--revision", "no-such-branch"), "no-such-branch"),
        (("--model", "acme/tiny", "--revision", "0" * 40), "0" * 40),
        (("--model", "acme/gated"), "gated"),
        (("--model", "acme/old"), "acme/new"),
    ]:
        ended = served.machine.promote(*arguments)

        assert ended.code == 1, ended.text
        assert served.machine.report(ended)["steps"][0]["exit_code"] == 12
        check_untouched(served, before, ended, words)


def test_a_gated_model_without_a_token_says_what_to_set(served: World):
    served.hub.publish("acme/gated", WHOLE)
    served.hub.configure("acme/gated", gated=True)
    before = state(served)

    ended = served.machine.promote("--model", "acme/gated", HF_TOKEN="")

    assert ended.code == 1, ended.text
    check_untouched(served, before, ended, "gated", "HF_TOKEN")


@pytest.mark.exhaustive
def test_a_hub_that_cannot_be_reached_is_said_to_be(served: World):
    before = state(served)

    ended = served.promote(HF_ENDPOINT="http://127.0.0.1:9", VLLM_PROMOTE_RETRY_BASE_SECONDS="0.01")

    assert ended.code == 1, ended.text
    check_untouched(served, before, ended, "127.0.0.1:9")


AUTO_MAP = b'{"auto_map": {"AutoModelForCausalLM": "modeling.Evil"}}'


@pytest.mark.parametrize(
    ("branch", "file", "words"),
    [
        ("remote-code", {"path": "config.json"}, "auto_map"),
        ("traversal", {"path": "../../evil.json"}, "evil.json"),
        ("absolute", {"path": "/etc/passwd.json"}, "passwd"),
        ("twins", {"path": "CONFIG.json"}, "CONFIG.json"),
    ],
)
def test_what_policy_refuses_is_named(served: World, branch: str, file: dict[str, str], words: str):
    remote_code = {"config.json": AUTO_MAP} if branch == "remote-code" else None
    commit = served.publish(branch=branch, seed=5, files=remote_code, reasoning=branch)  # a commit of its own
    if remote_code is None:
        served.list_also(commit, **file)
    before = state(served)

    ended = served.promote(branch)

    assert ended.code == 1, ended.text
    assert served.machine.report(ended)["steps"][0]["exit_code"] == 11
    check_untouched(served, before, ended, words)


def test_a_model_without_safetensors_is_refused_by_its_files(served: World):
    served.hub.publish("acme/pickled", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    before = state(served)

    ended = served.machine.promote("--model", "acme/pickled")

    assert ended.code == 1, ended.text
    check_untouched(served, before, ended, "pytorch_model.bin", "safetensors")


def test_a_volume_that_is_too_small_is_found_before_the_first_byte(served: World):
    commit = served.publish(branch="huge", seed=6)
    served.list_also(commit, path="model-00003-of-00003.safetensors", size=10**15)
    before = state(served)

    ended = served.promote("huge")

    assert ended.code == 1, ended.text
    assert served.machine.report(ended)["steps"][1]["exit_code"] == 15
    check_untouched(served, before, ended, "free")


def test_a_bucket_that_is_not_there_is_not_made(served: World):
    before = state(served)

    ended = served.promote(VLLM_PROMOTE_BUCKET="no-such-bucket")

    assert ended.code == 1, ended.text
    check_untouched(served, before, ended, "no-such-bucket")


def test_a_key_that_may_only_read_is_found_before_anything_moves(served: World):
    served.publish(branch="read-only", seed=7)
    before = state(served)

    ended = served.promote("read-only", AWS_ACCESS_KEY_ID=READER.access_key, AWS_SECRET_ACCESS_KEY=READER.secret_key)

    assert ended.code == 1, ended.text
    assert served.machine.report(ended)["steps"][0]["exit_code"] == 12
    check_untouched(served, before, ended, "write")


def test_a_dry_run_tells_the_plan_and_changes_nothing(served: World):
    commit = served.publish(branch="planned", seed=8)
    before = state(served)
    runs = sorted((served.machine.home / "runs").iterdir())

    ended = served.promote("planned", "--dry-run")

    assert ended.code == 0, ended.text
    assert state(served) == before
    assert sorted((served.machine.home / "runs").iterdir()) == runs
    for words in (commit, served.live().root[-40:][:12], "expected outage", "rollback target"):
        assert words in ended.text


def test_a_dry_run_says_why_it_would_be_refused(served: World):
    served.hub.publish("acme/pickled", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})

    ended = served.machine.promote("--model", "acme/pickled", "--dry-run")

    assert ended.code == 1, ended.text
    assert "pytorch_model.bin" in ended.text
