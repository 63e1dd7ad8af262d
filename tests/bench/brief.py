"""What was measured as one small table a contest: ours in figures, everybody else as ours by theirs."""

from collections.abc import Iterator, Sequence

from tests.bench.contest import Result
from tests.bench.results import GiB, Held, Record, ratio

OWN = ("case", "ours, s", "CPU-s per GiB", "peak MiB")


def tables(record: Record) -> str:
    """Markdown. Below 1 ours took less time; a dash is for who did not get there."""
    contests = dict.fromkeys(held.contest for held in record.held)
    return "\n\n".join(_table([held for held in record.held if held.contest == name]) for name in contests)


def _table(cases: Sequence[Held]) -> str:
    others = tuple(dict.fromkeys(result.name for held in cases for result in held.results[1:]))
    lines = [(f"{cases[0].contest}: {OWN[0]}", *OWN[1:], *others), ["---"] * (len(OWN) + len(others))]
    lines += [tuple(_row(held, others)) for held in cases]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(held: Held, others: Sequence[str]) -> Iterator[str]:
    ours, by_name = held.results[0], {result.name: result for result in held.results}
    yield held.case
    yield from (f"{ours.wall:.1f}", f"{ours.cpu / (held.total / GiB):.1f}", f"{ours.peak_mib:.0f}")
    yield from (_compared(ours, by_name.get(name)) for name in others)


def _compared(ours: Result, peer: Result | None) -> str:
    return f"{ratio(ours, peer):.2f}" if peer and peer.rounds else "-"
