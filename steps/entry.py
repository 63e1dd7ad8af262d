"""The one place where a step meets its process: argv in, output files and an exit code out."""

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import threading
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, TypeVar

from steps.core.names import check_release_id, check_run
from steps.errors import BadInput, StepError, Transient
from steps.redaction import Redact, redact
from steps.settings import PREFIX, Settings, from_environment, output_dir
from steps.step import Fields, I, O, Step, decode, encode

MESSAGE_LIMIT = 4000
"""Bytes; the kubelet cuts a termination message at 4096."""
LAST_WORDS_SECONDS = 0.5
LIFELINE = PREFIX + "STDIN_IS_LIFELINE"
"""Set by the local engine, which holds the other end of stdin: when the engine is killed, its steps end too."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NAMES: Mapping[str, Callable[[str], str]] = {"run": check_run, "release_id": check_release_id}
"""Inputs that no step goes without; the others are checked where they are used."""

R = TypeVar("R")

log = logging.getLogger(__name__)


def run_step(
    step: Step[I, O],
    body: Callable[[I, Settings], O],
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    instead: Callable[[I, str], O] | None = None,
) -> int:
    """Parse, run, write the outputs; return the exit code. Never raises StepError.

    ``instead`` is for the one step that nothing may fail: it makes the outputs from a sentence on what went wrong.
    """
    environ = os.environ if environ is None else environ
    inputs = parse(step, argv)
    start_log(environ)
    termination_log = Path(environ.get(PREFIX + "TERMINATION_LOG") or "/dev/termination-log")
    end_on_sigterm(step.name, termination_log)
    sys.excepthook = partial(end_on_bug, environ, termination_log)
    if environ.get(LIFELINE):
        end_with_stdin()
    try:
        check(inputs, environ)
        deliver(beside(lambda: body(inputs, from_environment(environ))), output_dir(environ))
    except StepError as err:
        log.debug("caused by", exc_info=err)
        sentence = one_line(redact(f"{type(err).__name__}: {err}", environ))
        if instead is None:
            report(termination_log, sentence)
            return err.exit_code
        last = instead(inputs, sentence)
    except Exception as err:
        if instead is None:
            raise
        log.exception("a bug")
        last = instead(inputs, one_line(redact(f"Bug: {type(err).__name__}: {err}", environ)))
    else:
        return 0
    with contextlib.suppress(OSError):  # nothing may fail it
        write(last, output_dir(environ))
    return 0


def beside(work: Callable[[], R]) -> R:
    """Done in a thread of its own, so that this one hears a signal: who waits for an NFS server is deaf to all."""
    with ThreadPoolExecutor(1, thread_name_prefix="step") as pool:
        return pool.submit(work).result()


def start_log(environ: Mapping[str, str]) -> None:
    """To stderr, without secrets; ``check`` tells of a level that is none."""
    level = environ.get("LOG_LEVEL", "")
    logging.basicConfig(
        level=level if level in LEVELS else "INFO",
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Redact(environ))


def check(inputs: Fields, environ: Mapping[str, str]) -> None:
    """Raises BadInput for what is wrong in the same way for every step: names that become paths, the log's level."""
    if (level := environ.get("LOG_LEVEL")) and level not in LEVELS:
        raise BadInput(f"LOG_LEVEL is {level!r}; set it to one of {', '.join(LEVELS)}")
    for f in fields(inputs):
        if f.name in NAMES:
            NAMES[f.name](getattr(inputs, f.name))


def flag(field_name: str) -> str:
    """The command-line flag of a field; the workflow is built with the same function."""
    return "--" + field_name.replace("_", "-")


def parse(step: Step[I, Any], argv: Sequence[str] | None = None) -> I:
    """Turn argv into the step's inputs; argparse exits 2 on anything it does not know."""
    module = sys.modules.get("__main__" if argv is None else step.module)
    parser = argparse.ArgumentParser(
        prog=f"python -m {step.module}",
        description=module.__doc__ if module else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    types = typing.get_type_hints(step.inputs)
    for f in fields(step.inputs):
        required = f.default is MISSING
        parser.add_argument(
            flag(f.name),
            dest=f.name,
            type=partial(decode, types[f.name]),
            required=required,
            default=None if required else f.default,
            metavar=types[f.name].__name__,
        )
    return step.inputs(**vars(parser.parse_args(argv)))


def deliver(outputs: Fields, directory: Path) -> None:
    """Raises Transient when they cannot be written: another attempt is another pod, with another disk."""
    try:
        write(outputs, directory)
    except OSError as err:
        raise Transient(
            f"it is done, and what it has to tell cannot be written to {directory}: {err.strerror}; run it again"
        ) from err


def write(outputs: Fields, directory: Path) -> None:
    """One file a field, where the template's ``valueFrom.path`` looks; each appears whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    for f in fields(outputs):
        aside = directory / f".{f.name}"
        aside.write_text(encode(getattr(outputs, f.name)), encoding="utf-8")
        aside.rename(directory / f.name)


def report(termination_log: Path, sentence: str) -> None:
    """Leave the sentence as the last line of stderr, and where the kubelet, and so Argo's UI, picks it up."""
    try:
        termination_log.write_text(sentence, encoding="utf-8")
    except OSError as err:
        log.debug("no termination log at %s: %s", termination_log, err)
    with contextlib.suppress(OSError):  # nobody listens any more: the exit code still tells
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201  # the contract: the last line of stderr


def one_line(text: str) -> str:
    """Text without line breaks or other control characters, cut to what a termination message holds."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()
    return line.encode(errors="backslashreplace")[:MESSAGE_LIMIT].decode(errors="ignore")


def end_on_bug(
    environ: Mapping[str, str],
    termination_log: Path,
    kind: type[BaseException],
    err: BaseException,
    trace: TracebackType | None,
) -> None:
    """Say what Python would have said, without secrets; Python's own exit code 1 follows."""
    print(redact("".join(traceback.format_exception(kind, err, trace)), environ), file=sys.stderr)  # noqa: T201
    report(termination_log, one_line(redact(f"Bug: {kind.__name__}: {err}; its traceback is in the log", environ)))


def end_on_sigterm(name: str, termination_log: Path) -> None:
    """End within a second of SIGTERM, as Argo's Stop asks, or of a Ctrl-C.

    What is left is what the next run repairs; nobody is waited for.
    """

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sentence = f"Stopped: {name} was ended by {signal.Signals(number).name}; run it again to go on"
        telling = threading.Thread(target=report, args=(termination_log, sentence), daemon=True)
        try:
            telling.start()
            telling.join(LAST_WORDS_SECONDS)  # it has to wait where a line is being written that nobody reads
        finally:
            os._exit(128 + number)  # threads in the middle of a transfer would keep sys.exit waiting

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a Ctrl-C is meant for others
            signal.signal(signal.SIGINT, end)


def end_with_stdin() -> None:
    """Send SIGTERM to this process when the other end of its stdin closes."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
