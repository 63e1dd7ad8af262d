"""Who takes part in which contest."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from steps.clients.place import Place
from steps.core.names import Layout
from tests.bench import told
from tests.bench.contest import Contest, Contestant
from tests.bench.measured import Command, FailedError
from tests.bench.peers import Found
from tests.bench.stage import MODEL, Model, Stage

OURS = "vllm-promote"
BARE = "s5cmd cp; sync"
ALIKE = "s5cmd cp; sync; openssl sha256"
LOCAL = "s5cmd cp from a local disk"
SHA256SUM = "xargs sha256sum"
DISK = "xargs dd, to nowhere"
PROVED = "sha256 proved"
ON_VOLUME = "on the disk, published"
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])"
SIGNING = "import sys; from model_signing import hashing; hashing.Config().hash(sys.argv[1])"
ELSEWHERE = "peer/"
"""Below which peers write in the bucket."""

Peers = Mapping[str, Found]
Work = Callable[[Path], Sequence[Command]]


def populate(stage: Stage, model: Model, peers: Peers) -> Contest:
    """From the store to a volume, everything on the disk at the end."""
    path = f"{stage.s3.bucket}/{Layout().model_prefix(MODEL, model.manifest.commit)}"
    s5cmd, rclone, aws = (
        told.s5cmd(stage, f"s3://{path}*"),
        ["copy", told.remote(stage, path)],
        told.aws(stage, f"s3://{path}"),
    )
    copied = "on the disk"

    def peer(package: str, name: str, promise: str, argv: list[str], *after: Callable[[Path], Command]) -> Contestant:
        def commands(target: Path) -> Sequence[Command]:
            return [[str(peers[package].program), *argv, f"{target}/"], *(a(target) for a in after)]

        return Contestant(name, promise, commands, missing=peers[package].missing)

    return Contest(
        contestants=[
            Contestant(
                OURS, f"{PROVED}, {ON_VOLUME}", lambda t: [told.step("populate", t, *told.release(model)), told.sync(t)]
            ),
            peer("s5cmd", BARE, copied, s5cmd, told.sync),
            peer(
                "s5cmd",
                ALIKE,
                "sha256 taken, on the disk",
                s5cmd,
                told.sync,
                lambda t: told.hashed(model, t, t, "openssl dgst -sha256"),
            ),
            peer("rclone", "rclone copy; sync", copied, rclone, told.sync),
            peer("aws", "aws s3 sync; sync", copied, aws, told.sync),
            peer("kserve-storage", "kserve-storage; sync", copied, ["-c", KSERVE, f"s3://{path}"], told.sync),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda target: stage.publish_on(target, model.before) if model.before else None,
        check=lambda target: told.on_volume(model, target),
    )


def both(stage: Stage, model: Model, peers: Peers) -> Contest:
    """From the Hub to the store and a volume, everything on the disk at the end; and each of our hops alone.

    The slower of these is what one pass is held against.
    """
    target = f"{stage.s3.bucket}/{ELSEWHERE}"
    hf = [str(peers["hf"].program), "download", "--quiet", MODEL, "--local-dir"]
    up = str(peers["s5cmd"].program)

    def two_tools(volume: Path) -> Sequence[Command]:
        return [
            [*hf, str(volume)],
            [up, *told.s5cmd(stage, f"{volume}/*.safetensors", f"s3://{target}")],
            told.sync(volume),
        ]

    def mirrored(volume: Path, *, one_pass: bool) -> Command:
        return told.step("mirror", volume, *told.release(model), one_pass=one_pass)

    def populated(volume: Path) -> Command:
        return told.step("populate", volume, *told.release(model))

    def filled(_volume: Path) -> None:
        stage.forget(model)
        stage.fill(model)

    def in_both(volume: Path) -> None:
        told.on_volume(model, volume)
        told.all_there(model, stage.sizes(model))

    def published(volume: Path) -> None:
        in_both(volume)
        if not Place.of(volume, MODEL, model.manifest.commit).published.is_dir():
            raise FailedError("it was left to populate")

    return Contest(
        contestants=[
            Contestant(
                OURS,
                f"{PROVED}, in the store and {ON_VOLUME}",
                lambda t: [mirrored(t, one_pass=True), told.sync(t)],
                check=published,
            ),
            Contestant(
                "our mirror alone",
                f"{PROVED}, in the store",
                lambda t: [mirrored(t, one_pass=False)],
                check=lambda _: told.all_there(model, stage.sizes(model)),
            ),
            Contestant(
                "our populate alone",
                f"{PROVED}, {ON_VOLUME}",
                lambda t: [populated(t), told.sync(t)],
                before=filled,
                check=lambda t: told.on_volume(model, t),
            ),
            Contestant(
                "our mirror, then populate",
                f"{PROVED}, in the store and {ON_VOLUME}",
                lambda t: [mirrored(t, one_pass=False), populated(t), told.sync(t)],
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

    local = [str(peers["s5cmd"].program), *told.s5cmd(stage, f"{model.files}/", f"s3://{target}")]
    hf_s3 = [str(peers["hf-s3-mirror"].program), "upload", MODEL, "--bucket", stage.s3.bucket, "--prefix", ELSEWHERE]
    return Contest(
        contestants=[
            Contestant(
                OURS, f"{PROVED}, no disk", lambda t: [told.step("mirror", t, *told.release(model), one_pass=False)]
            ),
            Contestant(LOCAL, "the second hop alone", lambda _: [local], missing=peers["s5cmd"].missing),
            two_hops("s5cmd", "hf download; s5cmd cp", lambda d: told.s5cmd(stage, d, f"s3://{target}")),
            two_hops("rclone", "hf download; rclone copy", lambda d: ["copy", d, told.remote(stage, target)]),
            two_hops("aws", "hf download; aws s3 sync", lambda d: told.aws(stage, d, f"s3://{target}")),
            Contestant("hf-s3-mirror", "", lambda _: [hf_s3], missing=peers["hf-s3-mirror"].missing),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: stage.forget(model),
        check=lambda _target: told.all_there(model, stage.sizes(model)),
    )


def checksum(stage: Stage, model: Model, peers: Peers) -> Contest:
    """A published directory, which has left the machine's cache: what the disk allows, or hashing."""
    volume = stage.directory / "volume"
    inputs = ("model", MODEL), ("commit", model.manifest.commit), ("manifest_sha256", model.manifest.sha256)
    program = peers["model-signing"]
    signing = [str(program.program), "-c", SIGNING, str(model.files)]
    return Contest(
        contestants=[
            Contestant(
                OURS,
                "sha256 proved, headers and indexes read",
                lambda t: [told.step("checksum", t, *inputs, volume=volume)],
            ),
            Contestant(SHA256SUM, "sha256 taken", lambda t: [told.hashed(model, model.files, t, "sha256sum")]),
            Contestant(
                "xargs openssl sha256",
                "sha256 taken",
                lambda t: [told.hashed(model, model.files, t, "openssl dgst -sha256")],
            ),
            Contestant("model-signing hash", "sha256 taken", lambda _: [signing], missing=program.missing),
            Contestant(DISK, "nothing: what the disk allows", lambda _: [told.read_past_the_cache(model)]),
        ],
        environ=stage.environ(),
        directory=stage.directory / "turn",
        before=lambda _target: stage.publish_uncached(volume, model),
        check=lambda _target: None,
    )


CONTESTS: Mapping[str, Callable[[Stage, Model, Peers], Contest]] = {
    "populate": populate,
    "mirror": mirror,
    "both": both,
    "checksum": checksum,
}
