"""Ours and its peers in turns at the same objects, server and disk: python -m tests.bench [CASE ...]."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import contest, populating
from tests.bench.cases import SCALES, case
from tests.bench.peers import PEERS, cache, find
from tests.bench.stage import stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("cases", nargs="*", help="COUNTxSIZE, as 4x1GiB; default: those of the scale")
    parser.add_argument("--scale", choices=sorted(SCALES), default="quick")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[])
    args = parser.parse_args()
    peers = {name: find(name) for name in PEERS}
    for found in peers.values():
        print(found, file=sys.stderr)
    cache().mkdir(parents=True, exist_ok=True)
    for name in args.cases or SCALES[args.scale]:
        with tempfile.TemporaryDirectory(dir=cache(), prefix="run-") as directory, stage(Path(directory) / "stage") as on:
            model = on.make(case(name))
            on.fill(model)
            print(name)
            made = populating.contest(on, model, peers)
            if args.only:
                made = contest.Contest([c for c in made.contestants if any(o in c.name for o in args.only)], made.environ, made.directory, made.before, made.check)
            results = contest.hold(made, args.rounds)
            first = results[0].wall
            for r in results:
                if r.failed:
                    print(f"{r.name:34} FAILED {r.failed[-300:]}")
                else:
                    print(f"{r.name:34} wall {r.wall:7.2f} cpu {r.cpu:7.2f} peak {r.peak_mib:5.0f}  ours/this {first / r.wall:5.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
