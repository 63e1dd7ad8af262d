"""Ours and its peers in turns at the same objects, server and disk; prints a table, keeps the figures and a picture."""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import brief, contest, link, picture, results
from tests.bench.cases import SCALES, Case, case
from tests.bench.contestants import CONTESTS, OURS
from tests.bench.delay import delay
from tests.bench.peers import PEERS, Found, cache, find
from tests.bench.results import Held, Record
from tests.bench.stage import stage


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    if args.link and not link.host():
        return link.again_within(args.link, sys.argv[1:] if argv is None else argv)
    if args.show:
        shown = brief.tables if args.brief else results.table
        print(shown(results.read(args.show)))  # noqa: T201  # a program for people
        return 0
    peers = {name: find(name) for name in PEERS}
    record = results.begin(list(peers.values()))
    kept = results.DIRECTORY / f"{record.date}-{args.scale}.json"
    if kept.exists():
        record = replace(record, held=results.read(kept).held)
    for made in [case(name) for name in args.cases or SCALES[args.scale]]:
        for name in args.contest or CONTESTS:
            record = record.with_more(hold(name, made, args, peers))
            keep(record, kept)
    print(results.table(record))  # noqa: T201  # a program for people
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("cases", nargs="*", help="COUNTxSIZE, as 4x1GiB; default: those of the scale")
    parser.add_argument("--scale", choices=sorted(SCALES), default="quick", help="quick: less than 1 GiB in all")
    parser.add_argument("--contest", action="append", choices=list(CONTESTS), help="default: all")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of ours and those named so")
    parser.add_argument("--link", metavar="RATE", help="over a line of that rate, as 200mbit; as root")
    parser.add_argument("--delay", type=delay, metavar="TIME", help="that far from the servers and back, as 20ms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of what was kept, and end")
    parser.add_argument("--brief", action="store_true", help="of that, one small table a contest, as in the README")
    return parser.parse_args(argv)


def hold(name: str, made: Case, args: argparse.Namespace, peers: dict[str, Found]) -> Held:
    cache().mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache(), prefix="run-") as directory,
        stage(Path(directory) / "stage", args.delay) as on,
    ):
        model = on.make(made)
        if name == "populate":
            on.fill(model)
        wanted = CONTESTS[name](on, model, peers)
        if args.only:
            chosen = [c for c in wanted.contestants if c.name == OURS or any(o in c.name for o in args.only)]
            wanted = replace(wanted, contestants=chosen)
        load = round(os.getloadavg()[0], 1)
        print(f"{name} {over(made, args)}, load {load}", file=sys.stderr, flush=True)  # noqa: T201  # a program for people
        return Held(name, over(made, args), made.total, load, tuple(contest.hold(wanted, args.rounds)))


def over(made: Case, args: argparse.Namespace) -> str:
    """The case, and the line that it goes over, which makes it another one."""
    return ", ".join(str(part) for part in (made.name, args.link, args.delay) if part)


def keep(record: Record, path: Path) -> None:
    results.write(record, path)
    path.with_suffix(".svg").write_text(picture.draw(record))


if __name__ == "__main__":
    sys.exit(main())
