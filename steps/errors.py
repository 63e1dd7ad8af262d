"""What a step may fail with, and the exit code that Argo sees.

* StepError
  - BadInput        10   the parameters or settings cannot work; mend them and run again
  - Refused         11   policy says no: format, remote code, licence, a release that failed before
  - Missing         12   what must be read is not there, or is not open to us
  - Corrupt         13   bytes are not what their digest promises
  - Conflict        14   somebody else is at it, or changed it
  - NoSpace         15   it would not fit
  - Failed          16   the candidate failed its test, or its time
  - RollbackFailed  17   the way back failed; a person is needed
  - Transient       75   the outside let us down; the same call may work later: the only one that is retried

Anything else is a bug and leaves with Python's own exit code 1. An unknown flag leaves with argparse's 2.
64 and 65 are argoexec's own codes, 137 and 143 are signals: never used here.
"""

from typing import ClassVar


class StepError(Exception):
    """A failure that was foreseen. Its text is one sentence: what, where, and what to do next."""

    exit_code: ClassVar[int]


class BadInput(StepError):
    """The step was asked for something that cannot work."""

    exit_code = 10


class Refused(StepError):
    """It could be done, and policy says that it must not be."""

    exit_code = 11


class Missing(StepError):
    """Something that must be read does not exist, or is not open to us; the outside often answers both alike."""

    exit_code = 12


class Denied(Missing):
    """Whoever asks is not known, or has no right to it: for good, or until its rights are set up again."""


class Corrupt(StepError):
    """Bytes differ from what their digest promises."""

    exit_code = 13


class Conflict(StepError):
    """Somebody else owns what this step would change, or has changed it since it was read."""

    exit_code = 14


class NoSpace(StepError):
    """There is not enough room, or no longer."""

    exit_code = 15


class Failed(StepError):
    """The candidate did not pass its test, or did not do so in time."""

    exit_code = 16


class NotUp(Failed):
    """Not all of a release's pods came up, or not in time; those that did are not blamed for it."""


class RollbackFailed(StepError):
    """The previous release could not be brought back."""

    exit_code = 17


class Transient(StepError):
    """The outside let us down; trying again may help."""

    exit_code = 75


class Lingering(Transient):
    """What was told to end has not, as far as anybody knows. It is wanted by nobody and gets no client any more."""
