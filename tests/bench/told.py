"""What contestants are told to do, in their own words, and whether they have done it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from steps.core.parts import MiB
from steps.settings import PREFIX
from steps.step import encode
from tests.bench.measured import Command, FailedError
from tests.bench.stage import DEPLOYMENT, Model, Stage
from tests.stubs.process import ROOT

READ = 'find "$1" -type f -print0 | xargs -0 -P 4 -I {} dd if={} of=/dev/null bs=4M iflag=direct status=none'
HASH = 'find "$1" -type f -print0 | xargs -0 -n "$4" -P "$(nproc)" $3 > "$2"'


def sync(target: Path) -> Command:
    return ["sync", "-f", str(target)]


def hashed(model: Model, files: Path, target: Path, program: str) -> Command:
    """By all cores; a process takes as many files as leave eight of them."""
    many = str(max(1, min(64, len(model.manifest.files) // 8)))
    return ["sh", "-c", HASH, "sh", str(files), str(target.parent / "digests"), program, many]


def read_past_the_cache(model: Model) -> Command:
    return ["sh", "-c", READ, "sh", str(model.files)]


def release(model: Model) -> tuple[tuple[str, str], ...]:
    return ("deployment", DEPLOYMENT), ("release_id", model.release_id)


def step(
    name: str, target: Path, *inputs: tuple[str, str], volume: Path | None = None, one_pass: bool = True
) -> Command:
    """As the engine starts it."""
    places = {
        PREFIX + "ONE_PASS": encode(one_pass),
        "PYTHONPATH": ROOT,
        PREFIX + "VOLUME": volume or target,
        PREFIX + "OUTPUT_DIR": target.parent / "outputs",
        PREFIX + "TERMINATION_LOG": target.parent / "message",
    }
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in inputs]
    return ["env", *(f"{k}={v}" for k, v in places.items()), sys.executable, "-m", f"steps.{name}", *flags]


def s5cmd(stage: Stage, *what: str) -> list[str]:
    return ["--endpoint-url", stage.s3.endpoint, "--log", "error", "cp", *what]


def aws(stage: Stage, *what: str) -> list[str]:
    return ["--endpoint-url", stage.s3.endpoint, "s3", "sync", "--only-show-errors", *what]


def remote(stage: Stage, path: str) -> str:
    """In rclone's words."""
    return f":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{stage.s3.endpoint}':{path}"


def on_volume(model: Model, target: Path) -> None:
    """Raises FailedError unless all of the model has come there."""
    all_there(model, [p.stat().st_size for p in target.rglob("*.safetensors") if model.is_of(str(p))])


def all_there(model: Model, sizes: Sequence[int]) -> None:
    if sorted(sizes) != sorted(f.size for f in model.manifest.files):
        came = sum(sizes) / MiB
        raise FailedError(
            f"{len(sizes)} files of {came:.0f} MiB came, not {len(model.manifest.files)} of {model.mib:.0f}"
        )
