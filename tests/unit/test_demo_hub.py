import tomllib

import pytest

from steps.errors import BadInput
from workflows import demo
from workflows.config import load
from workflows.local.demo import demo_hub
from workflows.local.demo.demo_hub import DemoHub

COMMAND = ["/cache/my vllm/bin/python", "-m", "vllm"]


@pytest.fixture
def versions(tmp_path):
    for name in ("first", "second"):
        (tmp_path / "versions" / name).mkdir(parents=True)
        (tmp_path / "versions" / name / "config.json").write_text(name)
    return tmp_path / "versions"


def test_the_commands_find_what_was_written(tmp_path, monkeypatch):
    demo_hub.write_settings(tmp_path / "settings.toml", "http://127.0.0.1:1", COMMAND)
    for name in (*demo_hub.OVERRIDING, "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path))
    config = load(local=True)
    assert config.hf_endpoint == "http://127.0.0.1:1"
    assert config.serve_command == "'/cache/my vllm/bin/python' -m vllm"
    assert config.device == "cpu"


def test_a_command_with_quotes_is_still_toml(tmp_path):
    demo_hub.write_settings(tmp_path / "settings.toml", "http://x", ["it's", 'a "b"', "ü\\"])
    assert tomllib.loads((tmp_path / "settings.toml").read_text())["hf_endpoint"] == "http://x"


def test_settings_of_somebody_else_are_left_alone(tmp_path):
    file = tmp_path / "settings.toml"
    demo_hub.check(file, {})
    demo_hub.write_settings(file, "http://x", COMMAND)
    demo_hub.check(file, {})
    file.write_text('bucket = "mine"\n')
    with pytest.raises(BadInput, match="is not the demo's; move it away"):
        demo_hub.check(file, {})


def test_an_environment_that_would_lead_elsewhere_is_named(tmp_path):
    with pytest.raises(BadInput, match="HF_ENDPOINT and AWS_ENDPOINT_URL in the environment would win"):
        demo_hub.check(tmp_path / "settings.toml", {"HF_ENDPOINT": "http://mirror", "AWS_ENDPOINT_URL": "http://s3"})


def test_publishing_again_changes_nothing_and_a_new_version_moves_the_branch(tmp_path, versions):
    hub = DemoHub(root=tmp_path / "hub", versions=versions, endpoint="")
    assert hub.head("main") is None
    first = hub.publish("first", "main")
    assert hub.publish("first", "v1") == first
    second = hub.publish("second", "main")
    assert hub.head("main") == hub.publish("second", "main") == second != first
    assert hub.head("v1") == first


def test_the_demo_takes_nothing_down_that_is_not_its_own(tmp_path):
    serving = tmp_path / "serving"
    serving.mkdir()
    (serving / "chat.json").write_text("{}")
    with pytest.raises(BadInput, match="holds more than the demo \\(chat\\), so nothing is stopped or removed"):
        demo.check_ours(tmp_path)
    demo_hub.write_settings(tmp_path / "settings.toml", "http://127.0.0.1:1", ["vllm"])
    demo.check_ours(tmp_path)
    (serving / "assistant.json").write_text("{}")
    with pytest.raises(BadInput, match="assistant"):
        demo.check_ours(tmp_path)


def test_a_directory_in_which_nothing_was_promoted_yet_can_be_taken_down(tmp_path):
    (tmp_path / "services").mkdir()
    demo.check_ours(tmp_path)
