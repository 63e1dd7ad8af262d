"""A step of a CronJob, started in the cluster out of its turn, and followed to its end."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from steps.clients.clock import SystemClock
from steps.clients.kube.api import CRON_JOB, JOB, POD, Api, Json
from steps.core.outcome import FAILED_EXIT, ROLLBACK_FAILED_EXIT
from steps.errors import Missing, RollbackFailed
from steps.ports.clock import Clock
from workflows.argo.patience import OutOfSight, Patience
from workflows.checkout import typed
from workflows.command import NOT_SUBMITTED_EXIT, say, submitting

POLL_SECONDS = 1.0
LINES = 1000
JOB_NAME = "batch.kubernetes.io/job-name"
"""Kubernetes' label of a job's pods."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """``code`` is the step's exit code, None where its pod was lost."""

    code: int | None
    log: str


def start(api: Api, cron_job: str, arguments: Sequence[str] = ()) -> str:
    """The new job's name. Raises Missing where the CronJob is not installed."""
    cron = api.get(CRON_JOB, cron_job)
    if cron is None:
        raise Missing(f"there is no CronJob {cron_job} in namespace {api.namespace}; run {typed('workflows.install')}")
    created: str = api.create(JOB, job(cron, arguments, secrets.token_hex(3)))["metadata"]["name"]
    return created


def job(cron: Json, arguments: Sequence[str], mark: str) -> Json:
    """What the CronJob would start, with more arguments."""
    name = cron["metadata"]["name"]
    template = cron["spec"]["jobTemplate"]
    pod = template["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    containers = [{**container, "args": [*container["args"], *arguments]}]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-by-hand-{mark}",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "template": {**pod, "spec": {**pod["spec"], "containers": containers}}},
    }


def follow(api: Api, name: str, clock: Clock, say: Callable[[str], None]) -> Ended:
    """Waits for as long as it takes, and says what it waits for. Raises Missing for a job that somebody deleted,
    OutOfSight.
    """
    said, patience = "", Patience("the job", clock, say)
    while True:
        found, pods = patience.ask(lambda: _look(api, name))
        if found is None:
            raise Missing(f"job {name} in namespace {api.namespace} was deleted before it ended; start it again")
        if end := how_it_ended(found):
            return patience.ask(partial(_ended, api, pods, end, said))
        if (now := _waits_for(pods)) and now != said:
            say(said := now)
        clock.sleep(POLL_SECONDS)


def exit_code(ended: Ended) -> int:
    """Of the command."""
    if ended.code == RollbackFailed.exit_code:
        return ROLLBACK_FAILED_EXIT
    return 0 if ended.code == 0 else FAILED_EXIT


def carry_out(api: Api, cron_job: str, arguments: Sequence[str], what: str) -> int:
    """Start it, follow it, say what it said; the command's exit code. Raises NotSubmitted."""
    with submitting(what=f"start the {what}"):
        name = start(api, cron_job, arguments)
    see = f"kubectl --namespace {api.namespace} logs --follow job/{name}"
    say(f"started job {name} in namespace {api.namespace}; see its log with `{see}`")
    try:
        ended = follow(api, name, SystemClock(), say)
    except OutOfSight as err:
        say(f"lost sight of job {name}, which may well go on: {err}; follow it with `{see}`")
        return NOT_SUBMITTED_EXIT
    say(ended.log.rstrip("\n"))
    return exit_code(ended)


def how_it_ended(job: Json) -> str:
    """In Kubernetes' words; empty while it goes on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition.get("message") or condition["type"])
    return ""


def _look(api: Api, name: str) -> tuple[Json | None, list[Json]]:
    """The job, and its pods."""
    return api.get(JOB, name), api.list(POD, labels=f"{JOB_NAME}={name}")


def _ended(api: Api, pods: list[Json], end: str, said: str) -> Ended:
    """Of a job that ends at its deadline Kubernetes deletes the pod: what it waited for is what is left of it."""
    if not pods:
        return Ended(code=None, log=f"no pod of it is there: {end}" + (f"; before, {said}" if said else ""))
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    (container,) = newest["spec"]["containers"]
    log = api.log(newest["metadata"]["name"], container["name"], LINES)
    states = (c["state"] for c in newest["status"].get("containerStatuses", ()))
    return Ended(code=next((s["terminated"]["exitCode"] for s in states if "terminated" in s), None), log=log or end)


def _waits_for(pods: list[Json]) -> str:
    """What keeps its pod from running; empty where nothing does."""
    for pod in pods:
        status = pod.get("status", {})
        told = [c["state"].get("waiting", {}) for c in status.get("containerStatuses", ())]
        told += [c for c in status.get("conditions", ()) if c["type"] == "PodScheduled" and c["status"] == "False"]
        for each in told:
            if each.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return f"its pod waits: {each['reason']}: {each.get('message', '')}".rstrip(": ")
    return ""
