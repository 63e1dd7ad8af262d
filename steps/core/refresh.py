"""What the nightly refresh does about each deployment, decided from where its branch is and from its record.

A release that failed, was rolled back by hand, or that policy refuses, is never promoted. What a person has decided is
not undone by night: a name that nothing was ever promoted to, another serving of the same commit, and what a person has
left for another release are proposed, whatever the catalog says.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from steps.core import canonical
from steps.core.account import iso
from steps.core.guards import how_to_allow
from steps.core.record import Record
from steps.errors import BadInput, Corrupt

Refresh = Literal["propose", "promote", "never"]
"""What a catalog's entry may ask for. There is no ``off``: YAML reads that as false."""
Kind = Literal["live", "refused", "in flight", "proposed", "promoted", "failed"]
FILE = "found.json"
"""Of the run's reports in the store: what ``discover`` hands to ``refresh``."""
VERSION = 1
FRESH_SECONDS = 3600
"""A branch is followed as it was that long ago at most: a refresh that somebody retries after days knows nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Where the branch of a catalog's entry is.

    ``refusal`` is policy's sentence, ``failure`` why it could not be found out; with either of them ``commit`` and
    ``release_id`` are empty.
    """

    deployment: str
    model: str
    revision: str
    refresh: Refresh
    commit: str = ""
    release_id: str = ""
    committed: float = 0.0
    """When the Hub got the commit, in seconds since the epoch; 0 where that is not known."""
    refusal: str = ""
    failure: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """Of the promotion. The commit, not the branch: what was looked at is what is promoted."""
        return {"model": self.model, "revision": self.commit, "deployment": self.deployment}


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """``at`` is when the last entry had been looked at, in seconds since the epoch."""

    at: int
    found: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Serves:
    """A deployment as it is. ``commit`` is the live release's, None where it is not known any more, ``model`` too.

    ``unfinished`` is the run, where there is one, that was started for this deployment and has not ended;
    ``standstill`` a sentence where that one does not go on by itself.
    """

    record: Record
    commit: str | None = None
    model: str = ""
    committed: float = 0.0
    """As of ``Found``."""
    unfinished: str | None = None
    standstill: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """``why`` is the sentence behind it, ``run`` the promotion that was started."""

    found: Found
    kind: Kind
    why: str
    run: str = ""


def decide(found: Found, serves: Serves) -> Decision:
    """About what was found without a failure. ``promoted`` means: start the promotion now."""
    kind, why = next(_reasons(found, serves))
    return Decision(found=found, kind=kind, why=why)


def _reasons(found: Found, serves: Serves) -> Iterator[tuple[Kind, str]]:
    """The first one counts."""
    record, what = serves.record, _what(found)
    if serves.standstill:
        yield "failed", _does_not_go_on(serves)
    if found.refusal:
        yield "refused", found.refusal
    if found.release_id == record.live and record.phase == "idle":
        yield "live", f"{what} serves as release {record.live}"
    if found.release_id in record.refused:
        again = how_to_allow(found.deployment, found.release_id)
        yield "refused", f"{what} failed before or was rolled back by hand; {again}"
    if at_it := _at_it(serves):
        yield "in flight", f"{at_it}; {what} is looked at again next time"
    if reason := _for_a_person(found, serves):
        yield "proposed", f"{what}: {reason}"
    yield "promoted", f"{what}; {serves.commit} serves"


def _for_a_person(found: Found, serves: Serves) -> str:
    """Why it is proposed; empty where it may be promoted."""
    record = serves.record
    if record.live is None:
        return "nothing was promoted to this name yet"
    if found.commit == serves.commit:
        return "the same commit serves, in another way than the catalog says now"
    if found.release_id == record.previous:
        return f"it served before, and somebody has put release {record.live} in its place"
    if serves.commit is None:
        return f"what release {record.live}, which serves, was made from is not known any more"
    if serves.model == found.model and 0 < found.committed < serves.committed:
        return (
            f"{serves.commit} of {iso(serves.committed)} serves, which is newer than {iso(found.committed)}: the "
            "branch was set back, and a night does not know why"
        )
    return f"{serves.commit} serves" if found.refresh == "propose" else ""


def had_its_turn(decision: Decision, run: str) -> Decision:
    """Of a promotion that was not begun, because ``run``, which an earlier attempt of this refresh began, has ended."""
    deployment = decision.found.deployment
    why = (
        f"{_what(decision.found)}: run {run} was begun for it before and has ended; "
        f"see how: `python -m workflows.history --deployment {deployment}`"
    )
    return replace(decision, kind="proposed", why=why)


def command(found: Found, flag: str) -> str:
    """What a person types to promote it; ``flag`` as of the other commands."""
    given = (f"--{key} {value}" for key, value in found.parameters.items())
    return " ".join(filter(None, ("python -m workflows.promote", *given, flag)))


def line(decision: Decision, flag: str) -> str:
    """For the log: one deployment, and what a person can do about it."""
    todo = f"; to promote it: {command(decision.found, flag)}" if decision.kind == "proposed" else ""
    run = f" by run {decision.run}" if decision.run else ""
    return f"{decision.found.deployment}: {decision.kind}{run}: {decision.why}{todo}"


def summary(decisions: Iterable[Decision]) -> str:
    """One line for the UI: names where a person may want to do something, else numbers."""
    kinds: dict[Kind, list[str]] = {}
    for decision in decisions:
        kinds.setdefault(decision.kind, []).append(decision.found.deployment)
    parts = [f"{kind}: {', '.join(sorted(kinds[kind]))}" for kind in _TOLD if kind in kinds]
    if quiet := len(kinds.get("live", ())):
        parts.append(f"{quiet} up to date")
    return "; ".join(parts) or "the catalog follows no branch"


_TOLD: tuple[Kind, ...] = ("failed", "refused", "promoted", "proposed", "in flight")


def run_name(found: Found, refresh_run: str) -> str:
    """Of the promotion: another attempt of the same refresh would give it the same name, and so not start it twice."""
    mark = hashlib.sha256(f"{refresh_run} {found.release_id}".encode()).hexdigest()[:8]
    return f"refresh-{found.deployment}-{mark}"


def dump(findings: Findings) -> bytes:
    return canonical.dump({"version": VERSION, **asdict(findings)})


def parse(body: bytes, where: str) -> Findings:
    """Raises Corrupt, naming ``where``."""
    try:
        value = json.loads(body)
        if value["version"] != VERSION:
            raise ValueError(f"version {value['version']!r}")  # noqa: TRY301  # told with the others
        return Findings(at=int(value["at"]), found=tuple(Found(**each) for each in value["found"]))
    except (ValueError, KeyError, TypeError) as err:
        raise Corrupt(f"{where} is not what discover writes: {err!r}; start the refresh anew") from err


def check_fresh(findings: Findings, now: float) -> None:
    """Raises BadInput for what is too old to act on."""
    if now - findings.at > FRESH_SECONDS:
        raise BadInput(
            f"the branches were looked at on {iso(findings.at)}, and may be elsewhere by now; "
            "start a refresh anew instead of trying this one again"
        )


def _what(found: Found) -> str:
    """A revision that is a commit already is not told twice."""
    at = found.commit if found.commit == found.revision else f"{found.commit} ({found.revision})"
    return f"{found.model} at {at}"


def _does_not_go_on(serves: Serves) -> str:
    run = serves.unfinished
    return (
        f"run {run} does not go on, {serves.standstill}; `python -m workflows.watch {run}` says what to do, "
        f"`python -m workflows.stop --run {run}` ends it"
    )


def _at_it(serves: Serves) -> str:
    """Who, in a sentence; empty where nobody is. An owner is a uid, which no command takes."""
    if serves.unfinished:
        return f"run {serves.unfinished} is at it"
    record = serves.record
    if record.phase == "idle":
        return ""
    return f"somebody (owner {record.owner or 'unknown'}) is at it ({record.phase}), see `python -m workflows.status`"
