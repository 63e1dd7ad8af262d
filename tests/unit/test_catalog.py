import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.catalog import DEFAULT_IMAGES, Catalog, Entry, parse, release, select
from steps.core.manifest import File, build
from steps.errors import BadInput

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
COMMIT = "c" * 40
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "catalog.yaml").read_text()


def entry(**keys):
    return Entry.model_validate({"model": MODEL, **keys})


def finding(block, where="catalog.yaml"):
    """What is said of an entry of this text, without the path that every message starts with."""
    lines = "".join(f"    {line}\n" for line in block.splitlines())
    with pytest.raises(BadInput) as caught:
        parse(f"deployments:\n  chat:\n    model: {MODEL}\n{lines}", where)
    return str(caught.value).removeprefix(f"{where}: deployments.chat.")


def test_the_catalog_in_the_repository_serves_the_demo():
    catalog = parse(TEXT, "catalog.yaml")

    assert select(catalog, MODEL, None) == ("chat", catalog.entry("chat"))
    assert catalog.entry("chat").args == ("--dtype=float32", "--enforce-eager", "--max-model-len=2048")


def test_the_commented_example_shows_every_key_and_is_right():
    text = re.sub(r"^  # ( *[a-z-].*)$", r"  \1", TEXT, flags=re.MULTILINE).replace("# licenses:", "licenses:")
    text = re.sub(r"^  (A larger|The demo).*\n", "", text, flags=re.MULTILINE)
    catalog = parse(text, "catalog.yaml")
    shown = catalog.entry("assistant")

    assert shown.model_fields_set == set(Entry.model_fields)
    assert shown.smoke.model_fields_set == set(type(shown.smoke).model_fields)
    assert shown.pod.model_fields_set == set(type(shown.pod).model_fields)
    assert catalog.licenses == ("apache-2.0", "mit")


def test_an_answer_of_one_token_is_enough_where_no_rate_is_asked_for():
    assert entry(smoke={"max_tokens": 1, "max_first_token_seconds": 2}).smoke.max_tokens == 1
    assert entry(smoke={"max_tokens": 2, "min_tokens_per_second": 20}).smoke.max_tokens == 2


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "deployments:\n", "deployments: {}\n"])
def test_an_empty_catalog_is_a_catalog(text):
    assert parse(text, "catalog.yaml") == Catalog()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("replica: 2", "replica: is no key here; did you mean replicas?"),
        ("colour: blue", "colour: is no key here; keys are accept_licenses, allow_auto_map, args,"),
        (
            "smoke: {max_tokens: 1, min_tokens_per_second: 20}",
            "smoke: min_tokens_per_second can never be judged by an answer of one token; set max_tokens to 2 or more",
        ),
        (
            "smoke: {max_tokens: 1, min_tokens_per_second_of_live: 0.8}",
            "smoke: min_tokens_per_second_of_live can never be judged by an answer of one token; set max_tokens to",
        ),
        ("smoke: {promt: hello}", "smoke.promt: is no key here; did you mean prompt?"),
        ("pod: {nodeselector: {}}", "pod.nodeselector: is no key here; did you mean nodeSelector?"),
        ("pod: {env: [{name: A, val: x}]}", "pod.env.0.val: is no key here; did you mean value?"),
        ("pod: {resources: {limit: {}}}", "pod.resources.limit: is no key here; did you mean limits?"),
        ("replicas: 0", "replicas: must be greater than or equal to 1, not '0'"),
        ("replicas: true", "replicas: must be a valid integer, not 'True'"),
        ("replicas: 1.5", "replicas: must be a valid integer"),
        ("revision: 2025", "revision: must be a string, and YAML reads 2025 here"),
        ("revision: 2025-01-01", "revision: must be a string, and YAML reads 2025-01-01 here"),
        ("revision: 'a..b'", "revision: revision 'a..b' cannot be used; it must be a branch"),
        ("device: tpu", "device: must be 'cuda' or 'cpu', not 'tpu'"),
        ("strategy: canary", "strategy: must be 'recreate' or 'blue-green', not 'canary'"),
        ("gpus: 2\ndevice: cpu", "gpus cannot be used with device cpu"),
        ("image: vllm/vllm-openai", "image: 'vllm/vllm-openai' names no version"),
        ("image: vllm/vllm-openai:latest", "image: 'vllm/vllm-openai:latest' names no version"),
        ("image: host:5000/vllm", "image: 'host:5000/vllm' names no version"),
        ("image: 'vllm image:v1'", "image: 'vllm image:v1' is no image reference"),
        ("startup_budget_seconds: 0", "startup_budget_seconds: must be greater than 0"),
        ("startup_budget_seconds: .inf", "startup_budget_seconds: must be"),
        ("allow_auto_map: [main]", "allow_auto_map.0: commit 'main' cannot be used; it must be 40"),
        ("smoke: fast", "smoke: must be a mapping of keys to values"),
        ("args: {a: b}", "args: must be a list"),
        ("args: --served-name 'x", "args: No closing quotation"),
        ("args: [true]", "args.0: must be a string, and YAML reads True here"),
        ("pod: {resources: {limits: {nvidia.com/gpu: 1}}}", "pod.resources.limits: GPUs are asked for by the entry"),
        ("pod: {env: [{name: HF_TOKEN, value: hf_XYZ}]}", "pod.env.0: HF_TOKEN is a secret; take it from one"),
        ("pod: {env: [{name: VLLM_API_KEY, valueFrom: {}}]}", "pod.env.0: VLLM_API_KEY comes from key VLLM_API_KEY of"),
        ("pod: {env: [{name: HF_HUB_OFFLINE, value: '0'}]}", "pod.env.0: HF_HUB_OFFLINE is not the catalog's to set"),
        ("pod: {env: [{name: A}]}", "pod.env.0: give either value or valueFrom"),
        ("pod: {shmSize: lots}", "pod.shmSize: must match pattern"),
        ("pod: {cacheClaim: Compiled Here}", "pod.cacheClaim: must match pattern"),
    ],
)
def test_what_cannot_work_is_named_by_its_path_in_the_file(block, said):
    message = finding(block)

    assert message.startswith(said) or message.removeprefix("catalog.yaml: deployments.chat: ").startswith(said)
    assert "hf_XYZ" not in message


def test_every_problem_is_named_up_to_five():
    message = finding("replicas: 0\ngpus: 0\ncolour: 1\nsize: 2\nshape: 3\ntaste: 4")

    assert [problem.split(":")[0].split(".")[-1] for problem in re.split(r"; (?=deployments)", message)] == [
        "replicas",
        "gpus",
        "colour",
        "size",
        "shape",
    ]
    assert message.endswith("and 1 more")


@pytest.mark.parametrize(
    "args",
    [
        "--model x",
        "--port=9",
        "--host 0.0.0.0",
        "--served-model-name x",
        "--served_model_name x",
        "--trust-remote-code",
        "--trust",
        "--revision main",
        "--load-format auto",
        "--load-format=pt",
        "--load_form pt",
        "--load-format",
        "--api-key canary",
        "--config x.yaml",
        "--tokenizer other/model",
    ],
)
def test_the_pipeline_s_own_arguments_are_refused(args):
    message = finding(f"args: {args}")

    assert message.startswith("args: '--")
    assert message.endswith("remove it")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--dtype float32 --enforce-eager", ("--dtype", "float32", "--enforce-eager")),
        ("[--max-model-len, 2048, -tp, 2]", ("--max-model-len", "2048", "-tp", "2")),
        ("--load-format safetensors", ("--load-format", "safetensors")),
        ("--load-format=safetensors", ("--load-format=safetensors",)),
        ("--tokenizer-mode slow --model-impl vllm", ("--tokenizer-mode", "slow", "--model-impl", "vllm")),
        ("""'--hf-overrides ''{"a": 1}'''""", ("--hf-overrides", '{"a": 1}')),
    ],
)
def test_arguments_are_a_list_or_one_line(args, words):
    assert parse(f"deployments: {{a: {{model: x/y, args: {args}}}}}", "c").entry("a").args == words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deployments:\n  a: {model: x/y}\n  a: {model: x/z}\n", "line 3, column 3: the key a occurs twice"),
        ("deployments:\n  a: {model: x/y, model: x/z}\n", "line 2, column 19: the key model occurs twice"),
        ("deployments:\n\tchat: x\n", "line 2, column 1: found character '\\t'"),
        ("deployments: [", "line 1, column 15: "),
        ("a: &x {b: *y}", "line 1, column 11: found undefined alias"),
        ("x: !!python/object:os.system {}", "line 1, column 4: could not determine a constructor"),
        ("x: 2025-13-45", "is not YAML: month must be in 1..12"),
        ("x: \0", "is not YAML"),
        ("just words", ": the whole file: must be a mapping"),
        ("deployments: [chat]", ": deployments: must be a mapping"),
        ("deployments: {Chat: {model: x/y}}", ": deployments.Chat: deployment 'Chat' cannot be used"),
        ("deployments: {1: {model: x/y}}", ": deployments.1: must be a string, and YAML reads 1 here"),
        ("deployments: {chat: {}}", ": deployments.chat.model: must be given"),
        ("deployments: {chat: }", ": deployments.chat: must be a mapping"),
        ("deployment: {chat: {model: x/y}}", ": deployment: is no key here; did you mean deployments?"),
        ("licenses: mit", ": licenses: must be a list"),
        ("licenses: [Apache 2.0]", ": licenses.0: must match pattern"),
    ],
)
def test_what_is_no_catalog_is_named_by_its_place(text, said):
    with pytest.raises(BadInput) as caught:
        parse(text, "catalog.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("catalog.yaml")


@given(st.text(alphabet="ab:{}[]-&*!#'\"\n \t|>?,%@0.~", max_size=60))
def test_no_text_is_a_bug(text):
    with suppress(BadInput):
        parse(text, "catalog.yaml")


def test_a_named_deployment_selects_its_entry():
    catalog = Catalog(deployments={"a": entry(), "b": entry(replicas=2)})

    assert select(catalog, MODEL, "b") == ("b", entry(replicas=2))


def test_another_model_under_a_named_deployment_is_a_usage_error():
    with pytest.raises(
        BadInput, match="deployment a is for HuggingFaceTB/SmolLM2-135M-Instruct in the catalog, not x/y"
    ):
        select(Catalog(deployments={"a": entry()}), "x/y", "a")


def test_a_deployment_or_a_model_that_is_not_in_the_catalog_gets_the_defaults():
    catalog = Catalog(deployments={"a": entry(replicas=2)})

    assert select(catalog, MODEL, "mine") == ("mine", entry())
    assert select(catalog, "org/x", None) == ("org-x-08ad3f92", Entry(model="org/x"))


def test_a_model_with_several_entries_needs_a_deployment():
    with pytest.raises(BadInput, match="in a and b; say which with --deployment"):
        select(Catalog(deployments={"b": entry(), "a": entry()}), MODEL, None)


def test_an_unknown_deployment_is_answered_with_the_known_ones():
    with pytest.raises(BadInput, match="no deployment c; it has a, b"):
        Catalog(deployments={"b": entry(), "a": entry()}).entry("c")


MANIFEST = build(MODEL, COMMIT, (File("model.safetensors", 7, "0" * 64),))


def test_a_release_of_the_defaults_is_served_as_plain_vllm_would():
    made = release(entry(), "chat", MANIFEST, "cuda")

    assert (made.serving.served_name, made.serving.gpus, made.serving.pod) == (MODEL, 1, "{}")
    assert made.serving.image == DEFAULT_IMAGES["cuda"]
    assert (made.manifest_sha256, made.total_bytes, made.commit) == (MANIFEST.sha256, 7, COMMIT)


def test_on_the_cpu_a_release_has_no_gpus_whatever_the_entry_says():
    made = release(entry(gpus=4), "chat", MANIFEST, "cpu")

    assert (made.serving.device, made.serving.gpus, made.serving.image) == ("cpu", 0, DEFAULT_IMAGES["cpu"])


def test_the_entry_decides_what_the_release_is():
    wanted = entry(
        served_name="chat",
        device="cuda",
        gpus=2,
        image="r:5000/vllm:v1",
        pod={"shmSize": "1Gi", "resources": {"limits": {"cpu": 4}}, "env": [{"name": "A", "value": "ü"}]},
        smoke={"expect": "42", "min_tokens_per_second": 3},
    )
    made = release(wanted, "chat", MANIFEST, "cpu")

    assert made.serving.pod == '{"env":[{"name":"A","value":"ü"}],"resources":{"limits":{"cpu":"4"}},"shmSize":"1Gi"}'
    assert (made.serving.served_name, made.serving.gpus, made.serving.image) == ("chat", 2, "r:5000/vllm:v1")
    assert (made.smoke.expect, made.smoke.min_tokens_per_second, made.smoke.max_tokens) == ("42", 3, 64)


def test_how_a_release_is_brought_in_does_not_change_its_id():
    plain = release(entry(), "chat", MANIFEST, "cuda").release_id

    assert release(entry(replicas=3, strategy="blue-green"), "chat", MANIFEST, "cuda").release_id == plain
    assert release(entry(args="-tp 2"), "chat", MANIFEST, "cuda").release_id != plain
