from pathlib import Path

import pytest

from steps.errors import BadInput
from workflows.local.demo import vllm_cpu


def test_a_machine_without_wheels_is_told_what_it_can_do():
    vllm_cpu.check_machine("linux", "x86_64")
    with pytest.raises(BadInput, match="this is arm64 darwin; run the demo on such a machine"):
        vllm_cpu.check_machine("darwin", "arm64")


def test_the_command_needs_nothing_but_the_model_and_a_port():
    command = vllm_cpu.serve_command(Path("/cache/bin/python"))
    assert command[:3] == ["/cache/bin/python", "-m", "vllm.entrypoints.openai.api_server"]


def test_every_package_of_the_lock_has_a_hash():
    text = vllm_cpu.LOCK.read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(entries) > 100
    assert [line for line in entries if "--hash=sha256:" not in line] == []


def test_uv_asks_where_pip_asks_unless_it_was_told_itself():
    assert (
        vllm_cpu.like_pip({"PIP_INDEX_URL": "a", "PIP_CERT": "c"}).items()
        >= {
            "UV_DEFAULT_INDEX": "a",
            "SSL_CERT_FILE": "c",
        }.items()
    )
    assert vllm_cpu.like_pip({"PIP_INDEX_URL": "a", "UV_DEFAULT_INDEX": "b"})["UV_DEFAULT_INDEX"] == "b"
    assert vllm_cpu.like_pip({"PATH": "p"}) == {"PATH": "p"}
