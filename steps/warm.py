"""Read a published model into this machine's memory, while another still serves: `python -m steps.warm DIRECTORY`.

No step of a workflow: `steps.clients.kube.preparations` starts it on the node where a release is about to start. It
succeeds whatever it could read, for a server needs none of it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from steps.clients import page_cache
from steps.entry import report, start_log
from steps.settings import from_environment

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m steps.warm", description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    asked = parser.parse_args(argv)
    start_log(os.environ)
    read = page_cache.read_ahead(asked.directory, page_cache.room())
    log.info("%s: %s", asked.directory, read)
    report(from_environment(os.environ).termination_log, str(read))
    return 0


if __name__ == "__main__":
    sys.exit(main())
