"""What a clock starts: the nightly refresh; outside Argo, whose fate they do not share, the reconciler and audit."""

from typing import Any

from hera.workflows import CronWorkflow, WorkflowTemplate
from hera.workflows.models import Mutex, PodGC, Synchronization, TTLStrategy, WorkflowMetadata, WorkflowTemplateRef

from steps.clients.kube.api import Json
from steps.core import labels
from steps.core.installed import AUDIT_JOB, RECONCILE_JOB, REFRESH_TEMPLATE
from steps.scheduled import AUDIT, DISCOVER, RECONCILE, REFRESH, DiscoverInputs, RefreshInputs
from steps.step import Step
from workflows import pods
from workflows.bridge import Flow
from workflows.pods import HOUR, TemplateConfig
from workflows.template import DAY, RUN

NEVER = "0 0 31 2 *"
"""A schedule must be something; this one has no turn."""
UID = {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
KEPT_GOOD, KEPT_BAD = 3, 5
"""Ended ones that stay to be looked at. Argo would keep one failed run alone."""


def objects(config: TemplateConfig, namespace: str) -> tuple[Json, ...]:
    """In the order in which they are applied."""
    return (
        refresh_template(config, namespace),
        refresh_cron(config, namespace),
        reconcile_job(config, namespace),
        audit_job(config, namespace),
    )


def refresh_template(config: TemplateConfig, namespace: str) -> Json:
    """Without parameters: which branches are followed, and how, the catalog says."""
    flow = Flow("follow-branches")
    flow.call(DISCOVER, DiscoverInputs(run=RUN))
    # However it ended: an entry that cannot be looked at keeps no other from its turn.
    flow.finally_call(REFRESH, RefreshInputs(run=RUN), after=DISCOVER)
    dag = flow.dag()
    built = WorkflowTemplate(
        name=REFRESH_TEMPLATE,
        namespace=namespace,
        labels=_labels("refresh"),
        entrypoint=dag.name,
        templates=[dag, pods.template(DISCOVER, config), pods.template(REFRESH, config)],
        synchronization=Synchronization(mutexes=[Mutex(name=REFRESH_TEMPLATE)]),
        workflow_metadata=WorkflowMetadata(
            annotations={
                "workflows.argoproj.io/title": "Follow the catalog's branches",
                "workflows.argoproj.io/description": "Propose what they have come to; promote where the entry says so",
            }
        ),
        pod_gc=PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
        ttl_strategy=TTLStrategy(seconds_after_completion=14 * DAY),
        **pods.spec(config),
    )
    return _plain(built)


def refresh_cron(config: TemplateConfig, namespace: str) -> Json:
    """A late start is better than none, but not into the day: a promotion may cost clients an outage."""
    return _plain(
        CronWorkflow(
            name=REFRESH_TEMPLATE,
            namespace=namespace,
            labels=_labels("refresh"),
            schedules=[config.refresh_schedule],
            timezone=config.timezone,
            concurrency_policy="Forbid",
            starting_deadline_seconds=HOUR,
            successful_jobs_history_limit=KEPT_GOOD,
            failed_jobs_history_limit=KEPT_BAD,
            workflow_template_ref=WorkflowTemplateRef(name=REFRESH_TEMPLATE),
        )
    )


def reconcile_job(config: TemplateConfig, namespace: str) -> Json:
    """One that was missed is worth nothing once the next is due.

    Turns may overlap: each leaves alone what a living one is at. Were they to wait for each other, a single pod that
    cannot start, or whose node is lost, would keep all work from being put right until its deadline. That one bounds
    how many of them can wait at a time; whoever is cut off by it leaves a model that loads, and its next turn waits on.
    """
    turns = {"schedule": config.reconcile_schedule, "concurrencyPolicy": "Allow", "startingDeadlineSeconds": 300}
    return _cron_job(RECONCILE_JOB, namespace, turns, _pod(RECONCILE, config, f"--owner=$({UID['name']})"), config)


def audit_job(config: TemplateConfig, namespace: str) -> Json:
    """Suspended unless it has a schedule, for it reads all that there is; a person's audit begins with it either way.

    By the clock it looks and changes nothing.
    """
    turns = {
        "schedule": config.audit_schedule or NEVER,
        "suspend": not config.audit_schedule,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": HOUR,
    }
    return _cron_job(AUDIT_JOB, namespace, turns, _pod(AUDIT, config, "--everything=true"), config)


def _cron_job(name: str, namespace: str, turns: Json, pod: tuple[Json, int], config: TemplateConfig) -> Json:
    spec, deadline = pod
    (container,) = spec["containers"]
    step = container["name"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace, "labels": _labels(step)},
        "spec": {
            "timeZone": config.timezone,
            **turns,
            "successfulJobsHistoryLimit": KEPT_GOOD,
            "failedJobsHistoryLimit": KEPT_BAD,
            "jobTemplate": {
                "metadata": {"labels": _labels(step)},
                "spec": {
                    "backoffLimit": 0,  # its next turn is its retry
                    "activeDeadlineSeconds": deadline,
                    "ttlSecondsAfterFinished": DAY,
                    "template": {"metadata": {"labels": _labels(step)}, "spec": spec},
                },
            },
        },
    }


def _pod(step: Step[Any, Any], config: TemplateConfig, *arguments: str) -> tuple[Json, int]:
    """Of a step that Argo does not start: as Argo would make it, without what Argo brings along. And its deadline."""
    needed = WorkflowTemplate(name=step.name, templates=[pods.template(step, config)], **pods.spec(config))
    spec = _plain(needed)["spec"]
    template = spec["templates"][0]
    container = template["container"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    told = f"$({UID['name']})" in "".join(arguments)
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": template["serviceAccountName"],
        "enableServiceLinks": False,
        "securityContext": spec["securityContext"],
        "containers": [
            {
                **container,
                "name": step.name,
                "args": [*arguments],  # the kubelet fills $(POD_UID) in
                "env": [*container.get("env", ()), *([UID] if told else [])],
            }
        ],
        "volumes": [volume for volume in spec["volumes"] if volume["name"] in mounted],
    }
    return pod, template["activeDeadlineSeconds"]


def _labels(component: str) -> dict[str, str]:
    return {labels.PART_OF: labels.PROJECT, labels.COMPONENT: component}


def _plain(built: WorkflowTemplate | CronWorkflow) -> Json:
    plain: Json = built.to_dict()
    return plain
