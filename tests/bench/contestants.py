"""Who takes part in which contest, and what each of them is told to do."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from steps.clients.place import Place
from steps.core.names import Layout
from steps.core.parts import MiB
from steps.settings import PREFIX
from steps.step import encode
from tests.bench.contest import Contest, Contestant
from tests.bench.measured import Command, FailedError
from tests.bench.peers import Found
from tests.bench.stage import DEPLOYMENT, MODEL, Model, Stage
from tests.stubs.process import ROOT

OURS = "vllm-promote"
BARE = "s5cmd cp; sync"
ALIKE = "s5cmd cp; sync; openssl sha256"
LOCAL = "s5cmd cp from a local disk"
SHA256SUM = "xargs sha256sum"
PROVED = "sha256 proved"
ON_VOLUME = "on the disk, published"
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])"
SIGNING = "import sys; from model_signing import hashing; hashing.Config().hash(sys.argv[1])"
HASH = 'find "$1" -type f -print0 | xargs -0 -n "$4" -P "$(nproc)" $3 > "$2"'
ELSEWHERE = "peer/"
"""Below which peers write in the bucket."""

Peers = Mapping[str, Found]
Work = Callable[[Path], Sequence[Command]]


def populate(stage: Stage, model: Model, peers: Peers) -> Contest:
    """From the store to a volume, everything on the disk at the end."""
    path = f"{stage.s3.bucket}/{Layout().model_prefix(MODEL, model.manifest.commit)}"
    s5cmd, rclone, aws = _s5cmd(stage, f"s3://{path}*"), ["copy", _remote(stage, path)], _aws(stage, f"s3://{path}")
    copied = "on the disk"

    def peer(package: str, name: str, promise: str, argv: list[str], *after: Callable[[Path], Command]) -> Contestant:
        def commands(target: Path) -> Sequence[Command]:
            return [[str(peers[package].program), *argv, f"{target}/"], *(a(target) for a in after)]

        return Contestant(name, promise, commands, missing=peers[package].missing)

    return Contest(
        contestants=[
            Contestant(OURS, f"{PROVED}, {ON_VOLUME}", lambda t: [_step("populate", t, *_release(model)), sync(t)]),
            peer("s5cmd", BARE, copied, s5cmd, sync),
            peer(
                "s5cmd",
                ALIKE,
                "sha256 taken, on the disk",
                s5cmd,
                sync,
                lambda t: hashed(model, t, t, "openssl dgst -sha256"),
            ),
            peer("rclone", "rclone copy; sync", copied, rclone, sync),
            peer("aws", "aws s3 sync; sync", copied, aws, sync),
            peer("kserve-storage", "kserve-storage; sync", copied, ["-c", KSERVE, f"s3://{path}"], sync),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: None,
        check=lambda target: _on_volume(model, target),
    )


def both(stage: Stage, model: Model, peers: Peers) -> Contest:
    """From the Hub to the store and a volume, everything on the disk at the end; and each of our hops alone.

    The slower of these is what one pass is held against.
    """
    target = f"{stage.s3.bucket}/{ELSEWHERE}"
    hf = [str(peers["hf"].program), "download", "--quiet", MODEL, "--local-dir"]
    up = str(peers["s5cmd"].program)

    def two_tools(volume: Path) -> Sequence[Command]:
        return [[*hf, str(volume)], [up, *_s5cmd(stage, f"{volume}/*.safetensors", f"s3://{target}")], sync(volume)]

    def mirrored(volume: Path, *, one_pass: bool) -> Command:
        return _step("mirror", volume, *_release(model), one_pass=one_pass)

    def populated(volume: Path) -> Command:
        return _step("populate", volume, *_release(model))

    def filled(_volume: Path) -> None:
        stage.forget(model)
        stage.fill(model)

    def in_both(volume: Path) -> None:
        _on_volume(model, volume)
        _all_there(model, stage.sizes())

    def published(volume: Path) -> None:
        in_both(volume)
        if not Place.of(volume, MODEL, model.manifest.commit).published.is_dir():
            raise FailedError("it was left to populate")

    return Contest(
        contestants=[
            Contestant(
                OURS,
                f"{PROVED}, in the store and {ON_VOLUME}",
                lambda t: [mirrored(t, one_pass=True), sync(t)],
                check=published,
            ),
            Contestant(
                "our mirror alone",
                f"{PROVED}, in the store",
                lambda t: [mirrored(t, one_pass=False)],
                check=lambda _: _all_there(model, stage.sizes()),
            ),
            Contestant(
                "our populate alone",
                f"{PROVED}, {ON_VOLUME}",
                lambda t: [populated(t), sync(t)],
                before=filled,
                check=lambda t: _on_volume(model, t),
            ),
            Contestant(
                "our mirror, then populate",
                f"{PROVED}, in the store and {ON_VOLUME}",
                lambda t: [mirrored(t, one_pass=False), populated(t), sync(t)],
            ),
            Contestant(
                "hf download; s5cmd cp; sync",
                "in the store and on the disk",
                two_tools,
                missing=peers["s5cmd"].missing or peers["hf"].missing,
            ),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _volume: stage.forget(model),
        check=in_both,
    )


def mirror(stage: Stage, model: Model, peers: Peers) -> Contest:
    """From the Hub to the store. Who has a hop on a disk syncs nothing: it is thrown away."""
    target = f"{stage.s3.bucket}/{ELSEWHERE}"
    hf = [str(peers["hf"].program), "download", "--quiet", MODEL, "--local-dir"]

    def two_hops(package: str, name: str, argv: Callable[[str], list[str]]) -> Contestant:
        def commands(disk: Path) -> Sequence[Command]:
            return [[*hf, str(disk)], [str(peers[package].program), *argv(f"{disk}/")]]

        return Contestant(name, "", commands, missing=peers[package].missing or peers["hf"].missing)

    local = [str(peers["s5cmd"].program), *_s5cmd(stage, f"{model.files}/", f"s3://{target}")]
    hf_s3 = [str(peers["hf-s3-mirror"].program), "upload", MODEL, "--bucket", stage.s3.bucket, "--prefix", ELSEWHERE]
    return Contest(
        contestants=[
            Contestant(OURS, f"{PROVED}, no disk", lambda t: [_step("mirror", t, *_release(model), one_pass=False)]),
            Contestant(LOCAL, "the second hop alone", lambda _: [local], missing=peers["s5cmd"].missing),
            two_hops("s5cmd", "hf download; s5cmd cp", lambda d: _s5cmd(stage, d, f"s3://{target}")),
            two_hops("rclone", "hf download; rclone copy", lambda d: ["copy", d, _remote(stage, target)]),
            two_hops("aws", "hf download; aws s3 sync", lambda d: _aws(stage, d, f"s3://{target}")),
            Contestant("hf-s3-mirror", "", lambda _: [hf_s3], missing=peers["hf-s3-mirror"].missing),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: stage.forget(model),
        check=lambda _target: _all_there(model, stage.sizes()),
    )


def checksum(stage: Stage, model: Model, peers: Peers) -> Contest:
    """A published directory, read from the cache of the machine: what hashing allows, not what a disk does."""
    volume = stage.directory / "volume"
    inputs = ("model", MODEL), ("commit", model.manifest.commit), ("manifest_sha256", model.manifest.sha256)
    program = peers["model-signing"]
    signing = [str(program.program), "-c", SIGNING, str(model.files)]
    return Contest(
        contestants=[
            Contestant(
                OURS,
                "sha256 proved, headers and indexes read",
                lambda t: [_step("checksum", t, *inputs, volume=volume)],
            ),
            Contestant(SHA256SUM, "sha256 taken", lambda t: [hashed(model, model.files, t, "sha256sum")]),
            Contestant(
                "xargs openssl sha256",
                "sha256 taken",
                lambda t: [hashed(model, model.files, t, "openssl dgst -sha256")],
            ),
            Contestant("model-signing hash", "sha256 taken", lambda _: [signing], missing=program.missing),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: stage.publish_on(volume, model),
        check=lambda _target: None,
    )


CONTESTS: Mapping[str, Callable[[Stage, Model, Peers], Contest]] = {
    "populate": populate,
    "mirror": mirror,
    "both": both,
    "checksum": checksum,
}


def sync(target: Path) -> Command:
    return ["sync", "-f", str(target)]


def hashed(model: Model, files: Path, target: Path, program: str) -> Command:
    """By all cores; a process takes as many files as leave eight of them."""
    many = str(max(1, min(64, len(model.manifest.files) // 8)))
    return ["sh", "-c", HASH, "sh", str(files), str(target.parent / "digests"), program, many]


def _release(model: Model) -> tuple[tuple[str, str], ...]:
    return ("deployment", DEPLOYMENT), ("release_id", model.release_id)


def _step(
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


def _s5cmd(stage: Stage, *what: str) -> list[str]:
    return ["--endpoint-url", stage.s3.endpoint, "--log", "error", "cp", *what]


def _aws(stage: Stage, *what: str) -> list[str]:
    return ["--endpoint-url", stage.s3.endpoint, "s3", "sync", "--only-show-errors", *what]


def _remote(stage: Stage, path: str) -> str:
    """In rclone's words."""
    return f":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{stage.s3.endpoint}':{path}"


def _on_volume(model: Model, target: Path) -> None:
    _all_there(model, [p.stat().st_size for p in target.rglob("*.safetensors")])


def _all_there(model: Model, sizes: Sequence[int]) -> None:
    if sorted(sizes) != sorted(f.size for f in model.manifest.files):
        came = sum(sizes) / MiB
        raise FailedError(
            f"{len(sizes)} files of {came:.0f} MiB came, not {len(model.manifest.files)} of {model.mib:.0f}"
        )
