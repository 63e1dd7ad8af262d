import os
from pathlib import Path

import pytest

from steps.errors import BadInput
from steps.settings import from_environment
from workflows.checkout import CHECKOUT
from workflows.config import gpu_visible, load
from workflows.render import template_config


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Of whatever the shell of the person who runs the tests has set."""
    for name in os.environ:
        if name.startswith(("VLLM_PROMOTE_", "AWS_", "HF_")):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path, monkeypatch):
    def write(text):
        path = tmp_path / "prod.toml"
        path.write_text(text)
        monkeypatch.setenv("VLLM_PROMOTE_CONFIG", str(path))

    return write


def test_without_anything_the_defaults_of_the_design_hold(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = load(local=False)
    assert (config.bucket, config.prefix, config.home) == ("models", "", CHECKOUT / ".local")
    assert config.catalog_path == tmp_path / "catalog.yaml"


def test_the_environment_wins_over_the_file(file, monkeypatch):
    file('bucket = "from-file"\nprefix = "team"\nhf_endpoint = "http://file"')
    monkeypatch.setenv("VLLM_PROMOTE_BUCKET", "from-environment")
    config = load(local=False)
    assert (config.bucket, config.prefix, config.hf_endpoint) == ("from-environment", "team", "http://file")
    monkeypatch.setenv("HF_ENDPOINT", "http://environment")
    assert load(local=False).hf_endpoint == "http://environment"


def test_a_local_command_reads_the_settings_that_lie_in_the_local_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path))
    (tmp_path / "settings.toml").write_text('serve_command = "stub --fast"')
    assert load(local=True).serve_command == "stub --fast"
    assert load(local=False).serve_command is None


def test_a_file_that_is_named_replaces_the_one_in_the_local_directory(tmp_path, file, monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path))
    (tmp_path / "settings.toml").write_text('bucket = "local"')
    file('bucket = "named"')
    assert load(local=True).bucket == "named"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('buckt = "x"', "buckt is no setting; did you mean bucket?"),
        ("zzz = 1", "zzz is no setting; remove it"),
        ('bucket = "Bad_Name"', "bucket in "),
        ("stall_seconds = -1", "stall_seconds in "),
        ('device = "tpu"', "device in "),
        ("bucket = ", "is not TOML"),
    ],
)
def test_an_error_in_the_file_is_told_with_file_and_key(file, text, sentence):
    file(text)
    with pytest.raises(BadInput, match=r"prod\.toml") as caught:
        load(local=False)
    assert sentence in str(caught.value)


def test_a_file_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_CONFIG", "/nowhere/prod.toml")
    with pytest.raises(BadInput, match=r"/nowhere/prod\.toml cannot be read .*VLLM_PROMOTE_CONFIG"):
        load(local=False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VLLM_PROMOTE_BUCKET", "UPPER"),
        ("VLLM_PROMOTE_PREFIX", "/team/"),
        ("VLLM_PROMOTE_RETRY_BASE_SECONDS", "soon"),
        ("VLLM_PROMOTE_DEVICE", "tpu"),
    ],
)
def test_an_error_in_the_environment_is_told_with_the_variable(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput, match=f"{variable} is '{value}'"):
        load(local=False)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_BUCKET", "")
    assert load(local=False).bucket == "models"


def test_the_steps_understand_what_the_commands_give_them(monkeypatch, tmp_path):
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path))
    monkeypatch.setenv("VLLM_PROMOTE_PREFIX", "team/a")
    monkeypatch.setenv("VLLM_PROMOTE_STALL_SECONDS", "2.5")
    monkeypatch.setenv("VLLM_PROMOTE_DEVICE", "cpu")
    monkeypatch.setenv("VLLM_PROMOTE_SERVE_COMMAND", "stub --fast")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub/")
    settings = from_environment(load(local=True).local_environment())
    assert settings.local_dir == tmp_path
    assert settings.volume == tmp_path / "volume"
    assert (settings.prefix, settings.stall_seconds, settings.device) == ("team/a", 2.5, "cpu")
    assert (settings.serve_command, settings.hub_endpoint) == ("stub --fast", "http://hub")


def test_one_pass_is_the_rule_and_an_exception_reaches_mirror_and_what_it_is_given(monkeypatch):
    usual = load(local=False)
    assert from_environment(usual.cluster_environment()).one_pass
    assert template_config(usual).one_pass
    monkeypatch.setenv("VLLM_PROMOTE_ONE_PASS", "false")
    two_hops = load(local=False)
    assert not from_environment(two_hops.cluster_environment()).one_pass
    assert not template_config(two_hops).one_pass


def test_no_secret_is_among_the_settings(monkeypatch):
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "canary")
    assert "canary" not in str(load(local=True).local_environment())


def test_the_more_special_endpoint_variable_wins_and_the_region_is_passed_on(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    given = load(local=False).environment()
    assert (given["AWS_ENDPOINT_URL"], given["AWS_REGION"]) == ("http://s3", "eu-west-1")
    assert given["AWS_DEFAULT_REGION"] == "eu-west-1"  # the one that boto3 heeds


def test_without_a_region_only_the_embedded_store_is_given_one(monkeypatch):
    assert load(local=True).local_environment()["AWS_DEFAULT_REGION"] == "us-east-1"
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION"} & load(local=False).cluster_environment().keys()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://theirs")
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION"} & load(local=True).local_environment().keys()


@pytest.mark.parametrize("text", ["1234567", "0.00001", "15"])
def test_a_number_is_passed_on_with_all_of_its_digits(monkeypatch, text):
    monkeypatch.setenv("VLLM_PROMOTE_STALL_SECONDS", text)
    assert load(local=False).environment()["VLLM_PROMOTE_STALL_SECONDS"] == text


def test_a_flag_wins_over_the_environment_and_is_named_when_it_cannot_be_used(monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_REGISTRY", "environment.example")
    flags = {"registry": "flag.example/ai", "namespace": None}
    assert load(local=False, flags=flags).registry == "flag.example/ai"
    assert load(local=False, flags={"registry": None}).registry == "environment.example"
    with pytest.raises(BadInput, match=r"--storage-class is 'No': "):
        load(local=False, flags={"storage_class": "No"})


def test_settings_that_contradict_each_other_are_told_in_a_sentence(file):
    file('nfs = "filer.example:/models"\nstorage_class = "fast"')
    with pytest.raises(BadInput, match=r"^nfs and storage_class both say where the volume comes from"):
        load(local=False)
    file('nfs = "filer.example:/models"\ncluster_scoped = false')
    with pytest.raises(BadInput, match=r"^an NFS share needs a PersistentVolume"):
        load(local=False)


@pytest.mark.parametrize("text", ["filer", "filer:models", ":/models", "filer:/a b"])
def test_a_share_is_a_server_and_a_path(monkeypatch, text):
    monkeypatch.setenv("VLLM_PROMOTE_NFS", text)
    with pytest.raises(BadInput, match="VLLM_PROMOTE_NFS is"):
        load(local=False)


@pytest.mark.parametrize("name", ["VLLM_PROMOTE_HTTPS_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HF_ENDPOINT"])
def test_an_address_with_a_password_is_refused_for_it_would_be_open_to_read(monkeypatch, name):
    monkeypatch.setenv(name, "http://user:canary@server.example:3128")
    with pytest.raises(BadInput, match=f"^{name} is an address with a login in it: whoever may read") as caught:
        load(local=False)
    assert "canary" not in str(caught.value)


def test_a_list_is_a_list_in_the_file_and_words_in_the_environment(file, monkeypatch):
    file('client_namespaces = ["web", "chat"]')
    assert load(local=False).client_namespaces == ("web", "chat")
    monkeypatch.setenv("VLLM_PROMOTE_CLIENT_NAMESPACES", "one, two")
    assert load(local=False).client_namespaces == ("one", "two")


def test_pods_are_told_of_the_proxy_the_authorities_and_what_never_leaves_the_cluster(file):
    file('https_proxy = "http://proxy.example:3128"\nno_proxy = "s3.example"\nca_bundle = "corporate.pem"')
    told = load(local=False).cluster_environment()
    assert told["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert {".svc", "10.0.0.0/8", "s3.example"} <= set(told["NO_PROXY"].split(","))
    assert told["SSL_CERT_FILE"] == told["AWS_CA_BUNDLE"] == "/etc/vllm-promote-ca/ca.crt"
    assert not {"HTTPS_PROXY", "SSL_CERT_FILE"} & load(local=False).local_environment().keys()


@pytest.mark.parametrize(
    ("device", "environ", "seen"),
    [
        ("nvidia0", {}, True),
        ("dxg", {}, True),
        ("nvidiactl", {}, False),
        ("null", {}, False),
        ("nvidia0", {"CUDA_VISIBLE_DEVICES": ""}, False),
        ("nvidia0", {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        ("nvidia0", {"CUDA_VISIBLE_DEVICES": "1"}, True),
    ],
)
def test_a_gpu_is_seen_by_its_device_file_unless_it_is_hidden(tmp_path: Path, device, environ, seen):
    (tmp_path / device).touch()
    assert gpu_visible(tmp_path, environ) is seen
