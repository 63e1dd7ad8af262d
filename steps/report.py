"""Say what happened, for people and for machines; whatever happened, and whatever fails here, exit 0."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, get_args

from steps.contracts import REPORT, ROLLBACK, SMOKE, ReportInputs, ReportOutputs
from steps.core import canonical, history
from steps.core.account import Account, Named, Surroundings, draw_up, sortable
from steps.core.names import Layout, check_deployment
from steps.core.outcome import GOOD, release_id
from steps.core.page import render
from steps.core.page_log import tail
from steps.core.record import Record
from steps.core.run import Node, Phase, Run
from steps.core.serverlog import log_name
from steps.core.words import summary
from steps.entry import run_step
from steps.errors import StepError
from steps.ports.journal import Journal
from steps.ports.serving import Serving
from steps.ports.store import Store
from steps.settings import Settings

log = logging.getLogger(__name__)

_PHASES: dict[str, Phase] = {phase: phase for phase in get_args(Phase)}
"""Argo says ``Errored`` of a task whose node is an Error; a word that is not known here is no success either."""


class Shelf(Protocol):
    """A second place for reports, beside the store."""

    def put(self, run: str, name: str, body: bytes) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Outside:
    """Each port is connected when it is needed: the report of a run must not fail because one of them does."""

    journal: Callable[[], Journal]
    serving: Callable[[str], Serving]
    """Of a deployment."""
    store: Callable[[], Store]
    layout: Layout
    bucket: str
    shelf: Shelf | None
    flag: str
    """What every command needs to act on the same place."""


@dataclass(frozen=True)
class Troubles:
    """What went wrong with the report itself."""

    sentences: list[str] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Go on after a failure, foreseen or not, and remember it: a report with a hole is worth more than none."""
        try:
            yield
        except StepError as err:
            log.warning("%s", err)
            self.sentences.append(str(err))
        except Exception as err:
            log.exception("a bug in the making of the report")
            self.sentences.append(f"a bug ({type(err).__name__}), whose traceback is in the log of this step")


def report(inputs: ReportInputs, outside: Outside) -> ReportOutputs:
    """A run that found its release serving already changes nothing: its report stays on this machine."""
    troubles = Troubles()
    run, around = told(inputs), Surroundings(flag=outside.flag)
    with troubles.noted():
        run = outside.journal().run(inputs.run) or run
    with troubles.noted():
        around = look(run, outside.serving(_deployment(run)), outside.flag)
    account = draw_up(run, around)
    if account.outcome == "live":
        deliver(account, outside, None, troubles)
    else:
        account = keep(account, run, outside, troubles)
    return said(account, troubles.sentences)


def without_a_report(inputs: ReportInputs, why: str) -> ReportOutputs:
    """What can be said still, when ``report`` itself could not be run or did not get to its end."""
    return said(draw_up(told(inputs), Surroundings()), [why])


def said(account: Account, troubles: Sequence[str]) -> ReportOutputs:
    words = "; ".join((summary(account), *(f"the report lacks something: {t}" for t in troubles)))
    log.info("%s", words)
    return ReportOutputs(outcome=account.outcome, summary=words)


def keep(account: Account, run: Run, outside: Outside, troubles: Troubles) -> Account:
    """In the store as well, with what the smoke test and the rollback left there."""
    store = None
    with troubles.noted():
        store = outside.store()
        if _attempted(run, SMOKE.name):
            account = replace(account, evidence=evidence(store, outside.layout, run.name))
        account = with_server_log(account, store, outside)
        account = replace(account, repaired=served_before(store, outside.layout, account))
    deliver(account, outside, store, troubles)
    return account


def served_before(store: Store, layout: Layout, account: Account) -> bool:
    """Whether the run before this one that put a release into service had put this one there: then it was repaired."""
    if account.outcome != "promoted" or account.release is None:
        return False
    keys = sorted(store.list(layout.history_prefix(account.deployment)), reverse=True)
    entries = (history.parse(store.get(key) or b"", key) for key in keys)
    served = (e for e in entries if e.run != account.run and e.outcome in ("promoted", "repaired"))
    last = next(served, None)
    return last is not None and last.release_id == account.release.release_id


def look(run: Run, serving: Serving, flag: str) -> Surroundings:
    """The record as it is now, and the releases that it and the run speak of.

    The endpoint of a deployment that nobody has ever tried to serve is not asked for: asking would choose its port.
    """
    held = serving.read()
    record = held.record
    wanted = filter(None, {record.live, record.previous, record.candidate, release_id(run)})
    names = {release: name(serving, release) for release in wanted}
    url = "" if held.target is None and record == Record() else serving.url
    return Surroundings(record=record, names=names, url=url, flag=flag, answers=_answers(serving, record.live))


def _answers(serving: Serving, live: str | None) -> bool | None:
    """Whether a server of it is ready, as far as that can be seen: no reason not to tell all else."""
    try:
        return any(pod.ready for pod in serving.pods(live)) if live else None
    except StepError as err:
        log.warning("%s", err)
        return None


def name(serving: Serving, release: str) -> Named:
    """A release as people know it."""
    known = serving.release(release)
    return Named(release_id=release, model=known.model, commit=known.commit) if known else Named(release_id=release)


def told(inputs: ReportInputs) -> Run:
    """What Argo's own words say of a run whose journal is gone."""
    parameters = {"model": inputs.model, "revision": inputs.revision, "deployment": inputs.deployment}
    rollback = Node(name=ROLLBACK.name, phase=_phase(inputs.rollback_status), on_exit=True)
    return Run(
        name=inputs.run,
        uid=inputs.owner,
        template="",
        parameters=parameters,
        phase=_phase(inputs.status),
        started=0.0,
        nodes=(rollback,),
    )


def evidence(store: Store, layout: Layout, run: str) -> Any:
    """What the smoke test of this run saw; None where it left nothing that can be read."""
    body = store.get(layout.report(run, "smoke.json"))
    try:
        return None if body is None else json.loads(body)
    except ValueError:
        log.warning("the evidence of run %s is not JSON", run)
        return None


def with_server_log(account: Account, store: Store, outside: Outside) -> Account:
    """With what was filed when the candidate was ended, as far as anything was."""
    if account.outcome in GOOD or account.release is None:
        return account
    key = outside.layout.report(account.run, log_name(account.release.release_id))
    said = store.get(key)
    if said is None:
        return account
    return replace(account, server_log=key, server_log_uri=f"s3://{outside.bucket}/{key}", server_said=tail(said))


def deliver(account: Account, outside: Outside, store: Store | None, troubles: Troubles) -> None:
    """To this machine first: the store may be what failed."""
    documents: dict[str, bytes] = {}
    with troubles.noted():  # what is wrong with one is wrong with no more than that
        documents["report.json"] = canonical.dump(account.to_json())
    with troubles.noted():
        documents["report.html"] = render(account).encode()
    for file_name, body in documents.items():
        if outside.shelf is not None:
            with troubles.noted():
                outside.shelf.put(account.run, file_name, body)
    if store is None:
        return
    with troubles.noted():
        for file_name, body in documents.items():
            store.put(outside.layout.report(account.run, file_name), body)
        key = outside.layout.history(check_deployment(account.deployment), sortable(account.at), account.run)
        store.create(key, account.history().dump())


def _deployment(run: Run) -> str:
    resolved = run.node("resolve")
    return check_deployment((resolved and resolved.outputs.get("deployment")) or run.parameters.get("deployment", ""))


def _attempted(run: Run, step: str) -> bool:
    node = run.node(step)
    return node is not None and bool(node.attempts)


def _phase(word: str) -> Phase:
    return _PHASES.get(word, "Error")


def main(inputs: ReportInputs, settings: Settings) -> ReportOutputs:
    from steps.clients import journal, serving
    from steps.clients.local.reports import Reports

    def connect_store() -> Store:
        from steps.clients import store  # half a second, which a run that found its release live does not need

        return store.connect(settings)

    outside = Outside(
        journal=partial(journal.connect, settings),
        serving=partial(serving.connect, settings),
        store=connect_store,
        layout=Layout(settings.prefix),
        bucket=settings.bucket,
        shelf=Reports(settings.local_dir / "reports") if settings.local_dir else None,
        flag="--local" if settings.local_dir else "",
    )
    return report(inputs, outside)


if __name__ == "__main__":
    sys.exit(run_step(REPORT, main, instead=without_a_report))
