"""A step that does as it is told: ``python -m tests.stubs.step --do=SCRIPT [--out=TEXT] [--any=TEXT]``.

A script is words, in the order in which they are done; ``|`` divides what the first attempt does from the second's.
The last part counts for all further attempts.

    75              exit with this code             say:WORD        leave a termination message
    dies            SIGKILL to itself               deaf            take no notice of SIGTERM
    touch:FILE      say that one has come so far    until:FILE      go on once FILE is there
    out             write --out as output `out`     dump            write argv and environment as output `dump`
    half            write progress 1/2              forever         never end
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from steps.entry import LIFELINE, end_on_sigterm, end_with_stdin

OUTPUTS = Path(os.environ["VLLM_PROMOTE_OUTPUT_DIR"])
TERMINATION_LOG = Path(os.environ["VLLM_PROMOTE_TERMINATION_LOG"])


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--do", "--out", "--any"):
        parser.add_argument(name, default="")
    told = parser.parse_args()
    end_on_sigterm("the stub", TERMINATION_LOG)
    if os.environ.get(LIFELINE):
        end_with_stdin()
    parts = told.do.split("|")
    attempt = int(OUTPUTS.name.rpartition(".")[2])
    for word in parts[min(attempt, len(parts) - 1)].split():
        if word.isdigit():
            return int(word)
        act(word, told)
    return 0


def act(word: str, told: argparse.Namespace) -> None:
    verb, _, rest = word.partition(":")
    dump = {"argv": sys.argv[1:], "environ": dict(os.environ)}
    acts: dict[str, Callable[[], object]] = {
        "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "say": lambda: TERMINATION_LOG.write_text(rest),
        "deaf": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        "touch": lambda: Path(rest).touch(),
        "until": lambda: wait_for(Path(rest)),
        "out": lambda: (OUTPUTS / "out").write_text(told.out),
        "dump": lambda: (OUTPUTS / "dump").write_text(json.dumps(dump)),
        "half": lambda: Path(os.environ["ARGO_PROGRESS_FILE"]).write_text("1/2\n"),
        "forever": lambda: wait_for(Path("/nowhere")),
    }
    acts[verb]()


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
