"""Read a published directory again, every file of it, and compare it with its manifest; the rollback target's too.

Everything that differs is told, not only the first. Safetensors headers and indexes are held against the files as well:
a publisher's broken file has the right digest.
"""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from steps import parallel
from steps.contracts import CHECKSUM, ChecksumInputs, ChecksumOutputs
from steps.core import safetensors, transfer
from steps.core.manifest import File, Manifest
from steps.core.safetensors import Header, Malformed
from steps.entry import run_step
from steps.errors import Corrupt
from steps.ports.volume import Opened, ReadableVolume
from steps.progress import Progress
from steps.settings import Settings

READERS = 4
"""Files at once."""
ONE_HEADER = threading.Lock()
"""Parsed at a time: a publisher's header may take ten times its size in memory."""
SHOWN = 10
INDEX = ".safetensors.index.json"

Tensors = dict[str, frozenset[str] | None]
"""The tensors in each file, by path; None where they cannot be told."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What reading one file told; ``header`` is None for other than safetensors."""

    file: File
    problems: tuple[str, ...]
    header: Header | None = None


def checksum(inputs: ChecksumInputs, volume: ReadableVolume, progress_file: Path | None = None) -> ChecksumOutputs:
    """Changes nothing. Raises Corrupt with the first differences; all are in the log."""
    manifests = [_manifest(volume, inputs.model, inputs.commit, inputs.manifest_sha256)]
    if inputs.previous_commit:
        previous = inputs.previous_model, inputs.previous_commit, inputs.previous_manifest_sha256
        manifests += [m for m in [_manifest(volume, *previous)] if m not in manifests]
    progress = Progress(progress_file, sum(m.total_bytes for m in manifests))
    problems = [f"{m.model} at {m.commit}: {problem}" for m in manifests for problem in _problems(volume, m, progress)]
    for problem in problems:
        log.error("%s", problem)
    if problems:
        more = f" and {len(problems) - SHOWN} more, see the log" if len(problems) > SHOWN else ""
        raise Corrupt(
            f"the volume is not as it should be: {'; '.join(problems[:SHOWN])}{more}; what was changed since it was "
            "published `python -m workflows.audit --all --repair` makes right, a model that is published broken needs "
            "another commit"
        )
    return ChecksumOutputs(
        checked_files=sum(len(m.files) for m in manifests), checked_bytes=sum(m.total_bytes for m in manifests)
    )


def _manifest(volume: ReadableVolume, model: str, commit: str, sha256: str) -> Manifest:
    """The volume's own, once it is proved to be the one that is meant: no store is asked."""
    found = volume.manifest(model, commit)
    if found is None:
        raise Corrupt(
            f"{model} at {commit} is not published on the volume; promoting it brings it back, and "
            "`python -m workflows.audit --repair` what a deployment serves or can go back to"
        )
    if found.sha256 != sha256:
        raise Corrupt(
            f"the volume's manifest of {model} at {commit} is {found.sha256} where {sha256} is meant; "
            "`python -m workflows.audit --repair` makes right what a deployment serves or can go back to; else move it "
            "away and promote again"
        )
    return found


def _problems(volume: ReadableVolume, manifest: Manifest, progress: Progress) -> Iterator[str]:
    entries = volume.entries(manifest.model, manifest.commit)
    yield from transfer.differences(manifest, entries)
    findings: list[Finding] = []

    def read(file: File) -> Finding:
        with volume.open(manifest.model, manifest.commit, file.path) as opened:
            found = examine(opened, file)
        progress.add(file.size)
        return found

    there = [f for f in manifest.files if entries.get(f.path) == f.size]
    parallel.in_order(read, there, READERS, findings.append)
    for finding in findings:
        yield from (f"{finding.file.path}: {problem}" for problem in finding.problems)
    yield from _index_problems(volume, manifest, _tensors(entries, findings))


def examine(opened: Opened, file: File) -> Finding:
    """``opened`` at its start."""
    header = None
    problems: list[str] = []
    if file.path.endswith(".safetensors"):
        try:
            header = _header(opened, file.size)
            problems.extend(header.problems)
        except Malformed as err:
            problems.append(f"not a safetensors file: {err}")
    actual = opened.sha256()
    if actual != file.sha256:
        problems.insert(0, f"sha256 {actual}, the manifest says {file.sha256}")
    return Finding(file=file, problems=tuple(problems), header=header)


def _header(opened: Opened, size: int) -> Header:
    length = safetensors.header_length(_exactly(opened, min(size, safetensors.START_BYTES)), size)
    opened.seek(safetensors.LENGTH_BYTES)
    with ONE_HEADER:
        return safetensors.read_header(_exactly(opened, length), size)


def _exactly(opened: Opened, length: int) -> bytes:
    """All that a raw file gives, which may be less than asked for at once; fewer at the end of the file."""
    pieces = []
    while length and (piece := opened.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _tensors(entries: Iterable[str], findings: list[Finding]) -> Tensors:
    found: Tensors = dict.fromkeys(entries)
    found.update((f.file.path, f.header.tensors) for f in findings if f.header is not None)
    return found


def _index_problems(volume: ReadableVolume, manifest: Manifest, tensors: Tensors) -> Iterator[str]:
    """Indexes against the headers of the shards in the same folder."""
    for file in manifest.files:
        if not file.path.endswith(INDEX) or file.path not in tensors:
            continue
        folder = file.path.rpartition("/")[0]
        beside = {name: found for path, found in tensors.items() if (name := _name(path, folder))}
        with volume.open(manifest.model, manifest.commit, file.path) as opened:
            read = _exactly(opened, min(file.size, safetensors.INDEX_LIMIT + 1))
            problems = safetensors.index_problems(read, beside)
        yield from (f"{file.path}: {problem}" for problem in problems)


def _name(path: str, folder: str) -> str:
    """The last segment of a path in this folder, empty for one that is elsewhere."""
    found, _, name = path.rpartition("/")
    return name if found == folder else ""


def main(inputs: ChecksumInputs, settings: Settings) -> ChecksumOutputs:
    from steps.clients import volume

    return checksum(inputs, volume.Directory(settings.volume), settings.progress_file)


if __name__ == "__main__":
    sys.exit(run_step(CHECKSUM, main))
