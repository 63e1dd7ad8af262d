"""What to do after a run that failed: told by the step that failed and its exit code, never by the words it said.

A retry keeps what succeeded. So it is advised only where the step that failed can end otherwise when it is done again;
bytes that an earlier step has left are not among that: a new promotion, or the audit, looks at those.
"""

import shlex

from steps.contracts import CHECKSUM, MIRROR, POPULATE, PREFLIGHT, RESOLVE
from steps.core.account import Account
from steps.errors import BadInput, Conflict, Corrupt, Failed, Missing

MEND = "mend what the sentence names"
MAKE_RIGHT = "make store and volume right again"


def command(account: Account, verb: str, *more: str) -> str:
    """Of ours, about the account's deployment, as it is typed where the run was."""
    return _typed(verb, f"--deployment {account.deployment}", *more, account.flag)


def after_failure(account: Account) -> tuple[str, ...]:
    """The first thing first; each a command or a sentence. For a run that has left nothing in flight."""
    code = _exit_code(account)
    if account.outcome == "refused" or code in (BadInput.exit_code, Missing.exit_code):
        return (f"{MEND}, and run the same command again",)
    if code == Conflict.exit_code:
        return f"see what has changed: {command(account, 'status')}", f"then {_anew(account)}"
    if code == Corrupt.exit_code:
        return _after_damage(account)
    if account.by_hand or code == Failed.exit_code:
        return (_anew(account),)
    return (f"go on where it ended: {_typed('promote', '--retry', account.run, account.flag)}",)


def _exit_code(account: Account) -> int | None:
    codes = [line.exit_code for line in account.lines if line.step == account.failed_step]
    return codes[-1] if codes else None


def _after_damage(account: Account) -> tuple[str, ...]:
    step = account.failed_step.partition("(")[0]  # one that is done several times side by side has a name for each
    if step in (RESOLVE.name, MIRROR.name):
        return (f"{MEND}, or take another commit, then promote again: {_promote(account)}",)
    if step not in (PREFLIGHT.name, POPULATE.name, CHECKSUM.name):  # what was proved is gone since
        return (_anew(account),)
    if account.by_hand:
        return _after_damage_of_what_was_left(account)
    broken = ", another commit where the model is published broken" if step == CHECKSUM.name else ""
    again = f"then promote again{broken}: {_promote(account)}"
    return _repair(account, everything=step != PREFLIGHT.name), again  # which looks at nothing but what serves


def _after_damage_of_what_was_left(account: Account) -> tuple[str, ...]:
    """The audit brings back a directory that is gone where the record names its release, and no other."""
    if account.release is None or account.release == account.previous:
        return _repair(account, everything=False), f"then {_anew(account)}"
    promote = _promote(account, account.release.commit or "")
    return _repair(account, everything=True), f"then promote it, which brings back a directory that is gone: {promote}"


def _repair(account: Account, *, everything: bool) -> str:
    return f"{MAKE_RIGHT}: {_typed('audit', '--all' if everything else '', '--repair', account.flag)}"


def _anew(account: Account) -> str:
    if not account.by_hand:
        return f"promote again: {_promote(account)}"
    to = f"--to {account.release.release_id}" if account.release else ""
    return f"go back again: {command(account, 'rollback', to)}"


def _promote(account: Account, commit: str = "") -> str:
    """What was asked for, or a commit of it."""
    revision = commit or account.revision
    given = (f"--revision {shlex.quote(revision)}" if revision else "", f"--deployment {account.deployment}")
    return _typed("promote", f"--model {shlex.quote(account.model)}", *given, account.flag)


def _typed(verb: str, *words: str) -> str:
    return " ".join(filter(None, (f"python -m workflows.{verb}", *words)))
