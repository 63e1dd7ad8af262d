"""A step's stand-in: does what its part says, and nothing of a step's work. Runs in pods, with Python alone.

The environment holds ATTEMPT, which counts from 0, and SCRIPT: a JSON list with a part for each attempt, the last one
for all further ones too. A part's keys are the fields of `tests.cluster.scripted.scenario.Part`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

OUTPUTS = Path("/tmp/outputs")  # where the templates look
TERMINATION_LOG = Path("/dev/termination-log")


def play(part: dict[str, Any]) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if part["deaf"] else end)
    if part["progress"]:
        Path(os.environ["ARGO_PROGRESS_FILE"]).write_text(part["progress"] + "\n")
    if part["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if part["seconds"]:
        time.sleep(part["seconds"])
    if part["code"]:
        say(json.dumps(sys.argv[1:]) if part["says_argv"] else part["say"])
        return int(part["code"])
    OUTPUTS.mkdir()
    for name, value in part["outputs"].items():
        (OUTPUTS / name).write_text(value)
    return 0


def end(number: int, _frame: object) -> NoReturn:
    """As the steps do."""
    say("Stopped: ended by SIGTERM")
    os._exit(128 + number)


def say(sentence: str) -> None:
    TERMINATION_LOG.write_text(sentence)


if __name__ == "__main__":
    parts = json.loads(os.environ["SCRIPT"])
    mine = parts[min(int(os.environ["ATTEMPT"]), len(parts) - 1)]
    if mine["only"] and f"--shard={mine['only']}" not in sys.argv:
        mine |= {"code": 0, "killed": False, "seconds": 0}
    sys.exit(play(mine))
