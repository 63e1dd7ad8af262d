"""What must be true of a volume whatever happened to those who wrote to it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from steps.core import manifest as manifests
from steps.core.names import is_commit
from tests.stubs.released import Released


def check(volume: Path) -> None:
    """Each directory with a published name holds exactly what its manifest says; debris lies in .staging alone."""
    for model in visible(volume):
        for commit in model.iterdir():
            assert is_commit(commit.name), f"{commit} is beside the published directories"
            check_published(volume, commit)
    for found in (volume / ".manifests").glob("*/*"):
        manifests.parse(found.read_bytes(), str(found))


def check_published(volume: Path, directory: Path) -> None:
    manifest = manifests.parse(
        (volume / ".manifests" / directory.parent.name / f"{directory.name}.json").read_bytes(), str(directory)
    )
    found = {p: hashlib.sha256(body).hexdigest() for p, body in content(directory).items()}
    assert found == {f.path: f.sha256 for f in manifest.files}


def visible(volume: Path) -> list[Path]:
    """Models, among what has no dot before its name."""
    assert {p.name for p in volume.iterdir() if p.name.startswith(".")} <= {".staging", ".manifests"}
    return [p for p in volume.iterdir() if not p.name.startswith(".")]


def content(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def debris(volume: Path) -> list[str]:
    """Names of the files that attempts have left."""
    return [p.name for p in (volume / ".staging").rglob("*") if p.is_file()]


def published(volume: Path, model: Released) -> Path:
    return volume / model.model.replace("/", "--") / model.commit


def stamp(directory: Path) -> Mapping[str, tuple[int, int, int]]:
    """Changes when anything below is written, replaced or made anew."""
    paths = [directory, *directory.rglob("*")]
    return {str(p): (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for p in paths for s in [p.lstat()]}
