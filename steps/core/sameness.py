"""Whether a release is what it was when it passed for the first time, by its fingerprint."""

from steps.core.account import iso
from steps.core.answers import shown
from steps.core.finding import Finding, bad, good, notice
from steps.core.fingerprint import ROUNDING, Change, Fingerprint, compare
from steps.core.measured import Measured
from steps.core.release import Smoke

CHECK = "fingerprint"
_WHY = "another image under the same tag, another kind of GPU, its driver, or a GPU that fails"
_SEE = f"see what else has changed: {_WHY}; where it is meant, raise smoke.max_logprob_change in the catalog"


def sameness(smoke: Smoke, now: Fingerprint | None, why_none: str, own: Measured | None) -> Finding:
    """``own`` is what was measured of this release before; None for its first test."""
    before = own.fingerprint if own else None
    if now is None:
        return _none(why_none, missed=before is not None)
    if own is None or before is None:
        return good(CHECK, f"taken for later tests of this release: {shown(now.text)}")
    return _changed(smoke, compare(before, now), own)


def _none(why: str, *, missed: bool) -> Finding:
    if missed:
        return notice(CHECK, f"it gives no fingerprint to compare ({why}), and it did before")
    return good(CHECK, f"it gives none ({why}), so a silent change of it would go unnoticed")


def _changed(smoke: Smoke, change: Change, own: Measured) -> Finding:
    then = f"on {iso(own.fingerprinted)}" if own.fingerprinted else "another pod of it"
    if smoke.max_logprob_change is not None and change.nats > smoke.max_logprob_change:
        gate = f"the gate is {smoke.max_logprob_change:g}, and rounding makes {ROUNDING:g}"
        said = f"it has the bytes that were proved and computes something else than {then}: {_size(change)}, {gate}"
        return bad(CHECK, said, _SEE)
    if change.nats > ROUNDING:
        more = f"more than the {ROUNDING:g} of rounding"
        return notice(CHECK, f"it computes otherwise than {then}: {_size(change)}, {more} ({_WHY})")
    return good(CHECK, f"the same as {then}: {_size(change)}, as rounding makes")


def _size(change: Change) -> str:
    parted = ", of which the last is another one" if change.parted else ""
    return f"a change of {change.nats:.2f} nats in {change.compared} tokens{parted}"
