"""Show what serves, and what is under way: python -m workflows.status."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from steps.core.account import Named
from steps.core.names import check_deployment
from steps.core.record import Phase
from steps.errors import Denied, StepError, Transient
from workflows import command
from workflows.checkout import typed
from workflows.command import DeploymentOption, LocalFlag, OutputOption

if TYPE_CHECKING:
    from steps.ports.serving import Serving
    from steps.settings import Settings
    from workflows.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """One deployment. ``url`` is empty where nobody has tried to serve it yet."""

    deployment: str
    url: str
    phase: Phase
    live: Named | None
    previous: Named | None
    candidate: Named | None
    refused: tuple[str, ...]
    owner: str | None
    owner_alive: bool
    run: str | None
    """The owner's name, by which it is stopped; None where nobody is at work, or nobody knows it."""
    ready: int
    """Pods of the live release that answer."""
    pods: int
    strays: tuple[str, ...] = ()
    """Releases that run and that no record names, as where somebody has removed it."""
    meddled: tuple[str, ...] = ()
    """What somebody else has changed by hand."""

    def to_json(self) -> dict[str, Any]:
        """The keys are fixed by design section 9."""
        return {
            "deployment": self.deployment,
            "url": self.url or None,
            "phase": self.phase,
            "live": _named(self.live),
            "previous": _named(self.previous),
            "candidate": _named(self.candidate),
            "refused": list(self.refused),
        }


@dataclass(frozen=True, slots=True)
class Unread:
    """A deployment of which nothing can be told: its record is damaged, its Service somebody else's."""

    deployment: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Without the other keys, as a null would say that there is none."""
        return {"deployment": self.deployment, "error": self.why}


Found = tuple[Sequence[str], list[Status | Unread]]
"""The deployments that there are, and what is shown."""


def status(*, deployment: DeploymentOption = None, local: LocalFlag = False, output: OutputOption = "text") -> int:
    """Show what serves under each name, what it can go back to, and what is under way.

    Exit code: 0; 1 where one of them could not be read, which is shown in its place; 2 where there is no such
    deployment, of which JSON has nulls instead; 3 where nobody could be asked.
    """
    from workflows import config

    with command.usage():
        settings = config.load(local=local)
        if deployment is not None:
            check_deployment(deployment)
    known, found = _on_this_machine(settings, deployment) if local else _in_the_cluster(settings, deployment)
    if output == "json":
        command.say(json.dumps([s.to_json() for s in found], indent=1))
    else:
        _require(known, deployment)
        flag = "--local" if local else ""
        command.say("\n\n".join(text(s, flag) for s in found) or "nothing was ever promoted here")
    return command.FAILED_EXIT if any(isinstance(s, Unread) for s in found) else 0


def _require(known: Sequence[str], deployment: str | None) -> None:
    """Raises Usage, naming those that there are."""
    from steps.reconcile import chosen

    with command.usage():
        chosen(known, deployment or "")


def look(deployment: str, connect: Callable[[str], "Serving"]) -> Status | Unread:
    """As it is now. That one cannot be read hides no other. Raises NotSubmitted where nobody can be asked."""
    with command.submitting((Transient, Denied), what="ask"):
        try:
            return read(deployment, connect(deployment))
        except (Transient, Denied):
            raise
        except StepError as err:
            return Unread(deployment, str(err))


def read(deployment: str, serving: "Serving") -> Status:
    """As it is now."""
    from steps.report import name

    held = serving.read()
    record = held.record
    pods = serving.pods(record.live) if record.live else ()
    named = (record.live, record.previous, record.candidate)
    live, previous, candidate = (name(serving, release) if release else None for release in named)
    return Status(
        deployment=deployment,
        url=serving.url,
        phase=record.phase,
        live=live,
        previous=previous,
        candidate=candidate,
        refused=record.refused,
        owner=record.owner,
        owner_alive=record.owner is not None and serving.owner_alive(record.owner),
        run=serving.run_of(record.owner) if record.owner else None,
        ready=sum(pod.ready for pod in pods),
        pods=len(pods),
        strays=tuple(r for r in serving.releases() if r not in named and serving.replicas(r)),
        meddled=(*serving.meddled(None), *(serving.meddled(record.live) if record.live else ())),
    )


def never_promoted(deployment: str) -> Status:
    """Of a name that nothing was ever promoted to."""
    return Status(
        deployment=deployment,
        url="",
        phase="idle",
        live=None,
        previous=None,
        candidate=None,
        refused=(),
        owner=None,
        owner_alive=False,
        run=None,
        ready=0,
        pods=0,
    )


def text(status: Status | Unread, flag: str) -> str:
    """For people: what is wrong comes with what to do about it. ``flag`` is what commands need to act here."""
    if isinstance(status, Unread):
        return f"{status.deployment}  CANNOT BE READ: {status.why}"
    return "\n".join(
        (f"{status.deployment}  {status.url}", *(f"  {label:<10}{value}" for label, value in _rows(status, flag)))
    )


def _rows(status: Status, flag: str) -> Iterator[tuple[str, str]]:
    yield "live", f"{_shown(status.live)}{_health(status)}"
    yield from (("changed", said) for said in status.meddled)
    refused = ", refused" if status.previous and status.previous.release_id in status.refused else ""
    yield "previous", f"{_shown(status.previous)}{refused}"
    if status.candidate:
        yield "candidate", _shown(status.candidate)
    if status.phase != "idle":
        yield "phase", f"{status.phase}, by run {status.run or status.owner}{_owner(status, flag)}"
    for release in status.strays:
        yield "runs", f"release {release}, which no record names: the next promotion to {status.deployment} ends it"
    for release in status.refused:
        named = ("--deployment", status.deployment, "--release", release)
        allow = typed("workflows.allow", *filter(None, (*named, flag)))
        yield "refused", f"{release}  ({allow})"


def _shown(named: Named | None) -> str:
    if named is None:
        return "none"
    what = f"{named.model} at {named.commit}" if named.model else "files unknown"
    return f"{what}  (release {named.release_id})"


def _health(status: Status) -> str:
    if status.live is None:
        return ""
    if status.ready:
        return f", {status.ready} of {status.pods} pods ready"
    if status.phase == "idle":
        return ", NOT READY: the next promotion of the same model starts it again"
    return f", no pod ready while run {status.run or status.owner} is at work" if status.owner_alive else ", NOT READY"


def _owner(status: Status, flag: str) -> str:
    if status.owner_alive:
        return ""
    done = "completes it" if status.phase == "draining" else "brings back what served"
    now = typed("workflows.reconcile", *filter(None, ("--deployment", status.deployment, flag)))
    return f", which is DEAD: the next promotion of this deployment first {done}; `{now}` does so now"


def _named(named: Named | None) -> dict[str, Any] | None:
    return {"release_id": named.release_id, "model": named.model, "commit": named.commit} if named else None


def _on_this_machine(config: "Config", deployment: str | None) -> Found:
    from steps.clients.local.serving import deployments
    from workflows.local.verbs import session

    known = deployments(config.home)
    return known, _found(session.settings(config), known, deployment)


def _in_the_cluster(config: "Config", deployment: str | None) -> Found:
    from steps.clients.kube.serving import deployments
    from workflows.argo import session

    api = session.connect(config, "ask")
    with command.submitting(what="ask"):
        known = deployments(api)
    return known, _found(session.settings(config), known, deployment)


def _found(settings: "Settings", known: Sequence[str], deployment: str | None) -> list[Status | Unread]:
    from steps.clients import serving

    if deployment is not None and deployment not in known:
        return [never_promoted(deployment)]
    return [look(d, partial(serving.connect, settings)) for d in ([deployment] if deployment else known)]


def main() -> int:
    return command.run("status", status)


if __name__ == "__main__":
    sys.exit(main())
