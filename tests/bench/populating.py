"""From the store to a volume: step populate against what people use."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from steps.contracts import POPULATE
from steps.core.manifest import Manifest
from steps.core.names import Layout
from steps.entry import flag
from steps.settings import PREFIX
from tests.bench.contest import Contest, Contestant
from tests.bench.measured import Command, FailedError
from tests.bench.peers import Found
from tests.bench.stage import DEPLOYMENT, Model, Stage
from tests.stubs.process import ROOT

OURS = "vllm-promote populate"
BARE = "s5cmd cp; sync"
ALIKE = "s5cmd cp; sync; openssl sha256"
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])"
HASH = 'find "$1" -type f -print0 | xargs -0 -n 8 -P "$(nproc)" openssl dgst -sha256 > "$2"'
ON_DISK = "on the disk"


def contest(stage: Stage, model: Model, peers: dict[str, Found]) -> Contest:
    return Contest(
        contestants=[Contestant(OURS, "sha256 proved, on the disk, published", ours(stage, model)), *_others(stage, model, peers)],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: None,
        check=lambda target: _complete(model.manifest, target),
    )


def ours(_stage: Stage, model: Model) -> Callable[[Path], Sequence[Command]]:
    def commands(target: Path) -> Sequence[Command]:
        return [step("populate", model, target), sync(target)]

    return commands


def step(name: str, model: Model, volume: Path) -> Command:
    """As the engine starts it."""
    places = {
        "PYTHONPATH": ROOT,
        PREFIX + "VOLUME": volume,
        PREFIX + "OUTPUT_DIR": volume.parent / "outputs",
        PREFIX + "TERMINATION_LOG": volume.parent / "message",
    }
    inputs = [f"--deployment={DEPLOYMENT}", f"--release-id={model.release_id}"]
    return ["env", *(f"{k}={v}" for k, v in places.items()), sys.executable, "-m", f"steps.{name}", *inputs]


def sync(target: Path) -> Command:
    return ["sync", "-f", str(target)]


def hashed(target: Path) -> Command:
    """By all cores."""
    return ["sh", "-c", HASH, "sh", str(target), str(target.parent / "digests")]


def _others(stage: Stage, model: Model, peers: dict[str, Found]) -> list[Contestant]:
    path = f"{stage.s3.bucket}/{Layout().model_prefix(model.manifest.model, model.manifest.commit)}"
    there = ["--endpoint-url", stage.s3.endpoint]
    remote = f":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{stage.s3.endpoint}':{path}"
    known: list[tuple[str, str, str, list[str], Callable[[Path], list[Command]]]] = [
        ("s5cmd", BARE, ON_DISK, [*there, "--log", "error", "cp", f"s3://{path}*"], lambda t: [sync(t)]),
        ("s5cmd", ALIKE, "sha256 taken, on the disk", [*there, "--log", "error", "cp", f"s3://{path}*"], lambda t: [sync(t), hashed(t)]),
        ("rclone", "rclone copy; sync", ON_DISK, ["copy", remote], lambda t: [sync(t)]),
        ("aws", "aws s3 sync; sync", ON_DISK, [*there, "s3", "sync", "--only-show-errors", f"s3://{path}"], lambda t: [sync(t)]),
        ("kserve-storage", "kserve-storage; sync", ON_DISK, ["-c", KSERVE, f"s3://{path}"], lambda t: [sync(t)]),
    ]
    return [
        Contestant(name, promise, _commands(peers[peer].program, argv, after), missing=peers[peer].missing)
        for peer, name, promise, argv, after in known
    ]


def _commands(
    program: Path | None, argv: list[str], after: Callable[[Path], list[Command]]
) -> Callable[[Path], Sequence[Command]]:
    return lambda target: [[str(program), *argv, f"{target}/"], *after(target)]


def _complete(manifest: Manifest, target: Path) -> None:
    sizes = sorted(p.stat().st_size for p in target.rglob("*.safetensors"))
    if sizes != sorted(f.size for f in manifest.files):
        raise FailedError(f"{len(sizes)} files of {sum(sizes)} bytes came, not {len(manifest.files)} of {manifest.total_bytes}")
