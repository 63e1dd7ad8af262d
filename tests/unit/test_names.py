import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core import names
from steps.core.names import (
    Layout,
    check_bucket,
    check_commit,
    check_deployment,
    check_model,
    check_prefix,
    check_release_id,
    check_revision,
    check_run,
    default_deployment,
    is_commit,
    slug,
)
from steps.errors import BadInput

COMMIT = "0123456789abcdef" * 2 + "01234567"
CHECKS = (check_model, check_revision, check_deployment, check_commit, check_release_id, check_run, check_bucket)

ATTACKS = [
    "",
    " ",
    "\n",
    "x\n",
    "\nx",
    "x\0",
    "x\x1b[31m",
    "a;b",
    "a/b; rm -rf /",
    "$(id)",
    "`id`",
    "x''' if __import__('os').system('touch /tmp/p')==0 else r'''",
    "{{=1+1}}",
    "{{workflow.parameters.token}}",
    "}}",
    "../../etc",
    "/etc",
    "..",
    ".",
    "-rf",
    "--help",
    "caf\u00e9",
    "\u0430bc",  # a Cyrillic letter
    "\uff41",  # a full-width one
    "\u0661",  # a digit to some
    "a b",
    "a\\b",
    "a'b",
    'a"b',
    "a%0ab",
    "x" * 1025,
]


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_no_attack_passes_any_check(check, text):
    with pytest.raises(BadInput):
        check(text)


@pytest.mark.parametrize(
    "text", ["gpt2", "org/name", "HuggingFaceTB/SmolLM2-135M-Instruct", "a", "a_b/c.d-e", "x" * 96]
)
def test_model_ids_of_the_hub_are_accepted(text):
    assert check_model(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a/b/c",
        "a//b",
        "/a",
        "a/",
        "a--b",
        "a..b",
        "org/a.git",
        "-rf/x",
        "x/-y",
        ".a/b",
        "a./b",
        "x" * 97,
        "a/" + "x" * 97,
    ],
)
def test_what_the_hub_takes_for_no_model_id_is_refused(text):
    with pytest.raises(BadInput, match=r"^model .* ORG/NAME or NAME"):
        check_model(text)


@pytest.mark.parametrize("text", ["main", "v1.0", "refs/pr/12", "2025", "1e5", "null", "true", "feature/a_b-c", COMMIT])
def test_revisions_are_strings_whatever_they_look_like(text):
    assert check_revision(text) == text


@pytest.mark.parametrize(
    "text",
    ["main; x", "a..b", "x@{0}", "x" * 300, "a//b", "/a", "a/", "a/.b", "a.lock", "a.lock/b", "a^", "a~1", "a:b"],
)
def test_what_git_takes_for_no_ref_is_refused(text):
    with pytest.raises(BadInput, match=r"^revision "):
        check_revision(text)


@pytest.mark.parametrize(("text", "good"), [("chat", True), ("a", True), ("a-1", True), ("a" * 40, True)])
def test_deployments_are_dns_names(text, good):
    assert check_deployment(text) == text
    assert good


@pytest.mark.parametrize("text", ["Chat", "1chat", "-a", "a-", "a.b", "a_b", "a/b", "a" * 41])
def test_what_is_no_dns_name_of_ours_is_no_deployment(text):
    with pytest.raises(BadInput, match=r"^deployment "):
        check_deployment(text)


@pytest.mark.parametrize("text", [COMMIT[:39], COMMIT + "0", COMMIT.upper(), "g" * 40, "main"])
def test_only_forty_hex_digits_are_a_commit(text):
    assert not is_commit(text)
    with pytest.raises(BadInput):
        check_commit(text)


def test_a_commit_needs_no_hub_to_be_one():
    assert is_commit(check_commit(COMMIT))
    assert not is_commit(COMMIT + "\n")


@pytest.mark.parametrize("text", ["models", "a.b-c", "abc", "x" * 63])
def test_bucket_names_of_s3_are_accepted(text):
    assert check_bucket(text) == text


@pytest.mark.parametrize("text", ["ab", "Models", "a..b", "192.168.1.1", "-ab", "ab-", "x" * 64, "a_b", "a/b"])
def test_what_s3_takes_for_no_bucket_is_refused(text):
    with pytest.raises(BadInput, match=r"^bucket "):
        check_bucket(text)


@pytest.mark.parametrize("text", ["", "a", "team/models", "a.b/c_d"])
def test_prefixes_are_paths_or_nothing(text):
    assert check_prefix(text) == text


@pytest.mark.parametrize("text", ["/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a b", "a\nb", "x" * 513])
def test_prefixes_that_would_lead_elsewhere_are_refused(text):
    with pytest.raises(BadInput, match=r"^prefix "):
        check_prefix(text)


@given(st.text(max_size=200))
def test_a_refusal_is_one_printable_line_that_repeats_little(text):
    for check in CHECKS:
        try:
            assert check(text) == text
        except BadInput as err:
            sentence = str(err)
            assert "\n" not in sentence
            assert len(sentence) < 1000


@given(st.from_regex(names._MODEL, fullmatch=True), st.from_regex(names._MODEL, fullmatch=True))
def test_a_slug_is_one_path_segment_and_stands_for_one_model(one, other):
    assert "/" not in slug(one)
    assert (slug(one) == slug(other)) == (one == other)
    assert slug(one).replace("--", "/") == one


@given(st.from_regex(names._MODEL, fullmatch=True))
def test_any_model_gets_a_deployment_that_may_be_one(model):
    assert check_deployment(default_deployment(model)) == default_deployment(model)


@pytest.mark.parametrize(
    ("model", "deployment"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "huggingfacetb-smollm2-135m-inst-"),
        ("01-ai/Yi-6B", "m-01-ai-yi-6b-"),
        ("_/_", "m-"),
    ],
)
def test_a_default_deployment_is_readable(model, deployment):
    assert default_deployment(model)[:-8].rstrip("-") == deployment.rstrip("-")


def test_models_that_look_alike_get_different_deployments():
    assert default_deployment("Org/A.b") != default_deployment("org/a-b")


def test_keys_lie_where_the_design_says():
    layout = Layout("pre/fix")

    assert layout.model_file("o/n", COMMIT, "a/b.json") == f"pre/fix/models/o--n/{COMMIT}/a/b.json"
    assert layout.manifest("o/n", COMMIT) == f"pre/fix/manifests/o--n/{COMMIT}.json"
    assert layout.release("chat", "0" * 12) == "pre/fix/releases/chat/000000000000.json"
    assert layout.history("chat", "t", "r") == "pre/fix/history/chat/t-r.json"
    assert layout.report("run", "smoke.json") == "pre/fix/reports/run/smoke.json"
    assert Layout().manifest("n", COMMIT) == f"manifests/n/{COMMIT}.json"


def test_prefixes_of_listings_end_in_a_slash_so_that_no_neighbour_is_listed():
    layout = Layout("p")

    for prefix, key in (
        (layout.model_prefix("o/n", COMMIT), layout.model_file("o/n", COMMIT, "x")),
        (layout.manifests_prefix("o/n"), layout.manifest("o/n", COMMIT)),
        (layout.history_prefix("chat"), layout.history("chat", "t", "r")),
    ):
        assert prefix.endswith("/")
        assert key.startswith(prefix)
