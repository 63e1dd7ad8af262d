"""Runs that are begun, gone on with, picked up again or ended: each command's part before anybody watches."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from steps.core import argo, labels
from steps.core.argo import Json, is_over
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.core.names import check_run
from steps.core.run import Run
from steps.errors import StepError, Transient
from workflows.argo import access, session
from workflows.argo.access import Access
from workflows.argo.direct import Direct
from workflows.checkout import typed
from workflows.cluster import checks
from workflows.command import Usage, submitting, usage
from workflows.config import Config
from workflows.naming import run_name

VERBS = {PROMOTE_TEMPLATE: "promote", ROLLBACK_TEMPLATE: "rollback"}
"""What a run of each template begins its name with."""


@dataclass(frozen=True)
class Underway:
    """A run that Argo has. ``known`` is what of it is not news: that which a retry keeps."""

    config: Config
    access: Access
    name: str
    known: Run | None = None


def submit(config: Config, template: str, parameters: Mapping[str, str], name: str | None = None) -> Underway:
    """A new run, of a name of its own unless one is given. Raises NotSubmitted."""
    labelled = {labels.PART_OF: labels.PROJECT, labels.DEPLOYMENT: parameters["deployment"]}
    name = name or run_name(VERBS[template])
    body = argo.workflow(template, parameters, name=name, labels=labelled)
    reached = reach(config, "submit")
    with submitting():
        if isinstance(reached, Direct):  # argo-server shows nothing else of the namespace
            checks.before_submitting(reached.api, config, template)
        _begin(reached, body)
    return Underway(config, reached, name)


def again(config: Config, name: str) -> Underway:
    """Go on with a run that failed: what succeeded is kept. Raises Usage, NotSubmitted."""
    reached = reach(config, "retry")
    run = argo.run(_ours(reached, name))
    if run.phase == "Succeeded":
        raise Usage(f"run {name} succeeded, so there is nothing to go on with; start a new one")
    if not is_over(run):
        raise Usage(f"run {name} is not over; follow it with `{typed('workflows.watch', name)}`")
    with submitting(what="retry"):
        return Underway(config, reached, name, argo.run(reached.retry(name)))


def picked_up(config: Config, name: str) -> Underway:
    """One that was started before, by whomever. Raises Usage, NotSubmitted."""
    reached = reach(config, "watch")
    _ours(reached, name)
    return Underway(config, reached, name)


def end(config: Config, name: str, *, now: bool) -> Run:
    """Stop it; ``now`` leaves out its exit handler. As it was until then. Raises Usage, NotSubmitted."""
    reached = reach(config, "stop")
    run = argo.run(_ours(reached, name))
    if is_over(run):
        raise Usage(f"run {name} is over: it ended as {run.phase}, so there is nothing to stop")
    with submitting(what="stop"):
        (reached.terminate if now else reached.stop)(name)
    return run


def reach(config: Config, what: str) -> Access:
    """``what`` is to be done. Raises NotSubmitted, Usage."""
    with session.reaching(what), usage():
        return access.connect(config, os.environ)


def _begin(reached: Access, body: Json) -> None:
    """A run whose beginning was not answered may have begun. Raises what ``Access.submit`` does."""
    name = body["metadata"]["name"]
    try:
        reached.submit(body)
    except Transient as err:
        if not _is_there(reached, name):
            look = typed("workflows.watch", name)
            raise Transient(f"{err}; should run {name} have begun all the same, `{look}` finds it") from err


def _is_there(reached: Access, name: str) -> bool:
    """As far as anybody answers."""
    try:
        return reached.get(name) is not None
    except StepError:
        return False


def _ours(reached: Access, name: str) -> Json:
    with usage():
        check_run(name)
    with submitting(what="ask"):
        workflow = reached.get(name)
    if workflow is None:
        raise Usage(f"there is no run {name} in namespace {reached.namespace}")
    if not argo.is_run_of_ours(workflow):
        template = argo.template_of(workflow) or "none"
        raise Usage(f"run {name} is of template {template}, not of {' or '.join(argo.OURS)}; see it in Argo's UI")
    return workflow
