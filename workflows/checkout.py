"""The checkout that runs, and its commands as they can be typed in it."""

import shlex
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def typed(module: str, *args: str) -> str:
    """The command line, with the interpreter that runs now."""
    python = Path(sys.executable)
    if python.is_relative_to(CHECKOUT):
        python = python.relative_to(CHECKOUT)
    return shlex.join([str(python), "-m", module, *args])


def pasteable(sentence: str) -> str:
    """What a step advises, who does not know which interpreter people have at hand."""
    return sentence.replace("python -m workflows.", typed("workflows."))
