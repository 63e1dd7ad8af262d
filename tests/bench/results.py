"""What was measured, kept as JSON and shown as a table and a picture."""

import json
import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.contest import Result
from tests.bench.measured import Measured
from tests.bench.peers import Found

DIRECTORY = Path(__file__).parent / "results"
HEAD = ("contest", "case", "who", "promise", "wall s", "ours / this", "CPU-s per GiB", "peak MiB")
GiB = 1024**3


@dataclass(frozen=True)
class Held:
    """One contest over one case."""

    contest: str
    case: str
    total: int
    """Bytes."""
    load: float
    """The machine's load average as it began: with more than its cores, others were at work."""
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Record:
    date: str
    machine: str
    peers: tuple[str, ...]
    held: tuple[Held, ...] = ()

    def with_more(self, held: Held) -> "Record":
        """In place of an earlier one of the same."""
        others = [h for h in self.held if (h.contest, h.case) != (held.contest, held.case)]
        return replace(self, held=(*others, held))


def begin(peers: list[Found]) -> Record:
    return Record(datetime.now(UTC).strftime("%Y-%m-%d"), machine(), tuple(sorted(p.said for p in peers)))


def machine() -> str:
    """What decides, and no name."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GiB
    told = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    core = next((value.strip() for name, _, value in told if name.strip() == "model name"), platform.machine())
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({core}), {memory:.0f} GiB, Linux {platform.release()}, Python {python}"


def write(record: Record, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1) + "\n")


def read(path: Path) -> Record:
    value = json.loads(path.read_text())
    return Record(**{**value, "peers": tuple(value["peers"]), "held": tuple(_held(h) for h in value["held"])})


def _held(value: dict[str, Any]) -> Held:
    results = [Result(**{**r, "rounds": [Measured(**m) for m in r["rounds"]]}) for r in value["results"]]
    return Held(**{**value, "results": tuple(results)})


def ratio(ours: Result, peer: Result) -> float:
    """Median over the rounds, each against its own: what a busy moment does to one it does to its neighbour."""
    return statistics.median(o.wall / p.wall for o, p in zip(ours.rounds, peer.rounds, strict=False))


def table(record: Record) -> str:
    """Markdown."""
    lines = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    lines += [" | ".join(row) for held in record.held for row in _rows(held)]
    return "\n".join(f"| {line} |" for line in lines)


def why(failed: str) -> str:
    """The line of a program's last words that says most."""
    lines = [line.strip() for line in failed.splitlines() if line.strip()]
    words = ("Invalid", "cannot", "Error", "error")
    return next((line for word in words for line in lines if line.startswith(word)), (lines or ["?"])[-1])[:100]


def _rows(held: Held) -> Iterator[tuple[str, ...]]:
    total = held.total / GiB
    ours = held.results[0]
    for result in held.results:
        if not result.rounds:
            yield held.contest, held.case, result.name, why(result.failed), "-", "-", "-", "-"
            continue
        compared = f"{ratio(ours, result):.2f}" if ours.rounds and result is not ours else ""
        yield (
            held.contest,
            held.case,
            result.name,
            result.promise,
            f"{result.wall:.2f}",
            compared,
            f"{result.cpu / total:.2f}",
            f"{result.peak_mib:.0f}",
        )
