"""The process boundary of the commands: typer around a function, its exit code, and every failure as one sentence."""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from steps.entry import one_line
from steps.errors import BadInput, StepError
from steps.redaction import redact
from workflows.audience import Audience

FAILED_EXIT = 1
USAGE_EXIT = 2
NOT_SUBMITTED_EXIT = 3
STDERR = 2
"""The last of the standard descriptors."""
FORESEEN = (StepError, OSError)
"""What is told in a sentence; anything else is a bug, and told by its traceback."""

Output = Literal["text", "json"]
LocalFlag = Annotated[bool, typer.Option("--local", help="On this machine, with everything under .local/.")]
DeploymentOption = Annotated[str | None, typer.Option(metavar="NAME", help="The name that clients know.")]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="For people, or for programs.")]


class Usage(Exception):
    """What is wrong can be told without asking anyone."""


class NotSubmitted(Exception):
    """Nothing was begun, or nothing is known: what would have to carry it out, or to answer, cannot be reached."""


def run(name: str, verb: Callable[..., int], argv: Sequence[str] | None = None) -> int:
    """``python -m workflows.NAME``: parse ``argv``, call ``verb``, return the exit code."""
    _complete_standard_streams()
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(_bounded(verb))
    try:
        app(args=argv, prog_name=f"python -m workflows.{name}")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED_EXIT
    return 0


@contextmanager
def usage() -> Iterator[None]:
    """What fails in here was asked for wrongly."""
    try:
        yield
    except BadInput as err:
        raise Usage(str(err)) from err


@contextmanager
def submitting(failures: tuple[type[Exception], ...] = FORESEEN, what: str = "submit") -> Iterator[None]:
    """What fails in here keeps the run from being begun, or whoever would know from being asked."""
    try:
        yield
    except failures as err:
        raise NotSubmitted(f"could not {what}: {_sentence(err)}") from err


def say(text: str) -> None:
    """To the person, or the program, that called."""
    audience = Audience(sys.stdout)
    audience.write(text + "\n")
    audience.flush()


def _complete_standard_streams() -> None:
    """A closed one leads nowhere: else the next file that is opened, a lock perhaps, would be taken for it."""
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(nowhere, True)
    os.close(nowhere)
    sys.stdout = sys.stdout or os.fdopen(STDERR - 1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w", closefd=False)


def _bounded(verb: Callable[..., int]) -> Callable[..., None]:
    @functools.wraps(verb)  # typer reads its parameters and its docstring
    def call(**options: Any) -> None:
        raise typer.Exit(_exit_code(functools.partial(verb, **options)))

    return call


def _exit_code(call: Callable[[], int]) -> int:
    try:
        return call()
    except Usage as err:
        code, failure = USAGE_EXIT, str(err)
    except NotSubmitted as err:
        code, failure = NOT_SUBMITTED_EXIT, str(err)
    except FORESEEN as err:
        code, failure = FAILED_EXIT, _sentence(err)
    Audience(sys.stderr).write(f"Error: {one_line(redact(failure, os.environ))}\n")
    return code


def _sentence(err: Exception) -> str:
    """Of the system's own failures what it says, and of which file: a disk is full, a directory is not ours."""
    if not isinstance(err, OSError):
        return str(err)
    return ": ".join(str(part) for part in (err.strerror or err, err.filename) if part)
