"""Read a published model into this machine's memory, while another still serves: `python -m steps.warm DIRECTORY`.

No step of a workflow: `steps.clients.kube.preparations` starts it on the node where a release is about to start. It
succeeds whatever it could read, for a server needs none of it; where the directory is no longer what was checked, so
that none could start, it ends with 13.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from steps.clients import page_cache
from steps.clients.whole import require_whole
from steps.entry import one_line, report, start_log
from steps.errors import Corrupt
from steps.settings import from_environment

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m steps.warm", description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    asked = parser.parse_args(argv)
    start_log(os.environ)
    said = from_environment(os.environ).termination_log
    try:
        require_whole(asked.directory)
    except Corrupt as err:
        report(said, one_line(str(err)))
        return err.exit_code
    read = page_cache.read_ahead(asked.directory, page_cache.room())
    log.info("%s: %s", asked.directory, read)
    report(said, str(read))
    return 0


if __name__ == "__main__":
    sys.exit(main())
