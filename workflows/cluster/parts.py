"""What every installed object is made of: its head, and the labels by which ``uninstall`` finds it."""

from steps.clients.kube.api import Json, Kind
from steps.core import labels, workload

INSTALLER = "vllm-promote-install"
"""Who manages an installed object; those that serve a model are the pipeline's own."""
MARKS = {labels.PART_OF: labels.PROJECT, labels.MANAGED_BY: INSTALLER}
INSTALLED = labels.selector(MARKS)
DATA, SERVING, RECONCILE, REFRESH, SUBMIT = (
    f"{labels.PROJECT}-{role}" for role in ("data", "serving", "reconcile", "refresh", "submit")
)
MODEL = workload.ACCOUNT
"""Service accounts. ``SUBMIT`` no pod runs as: it is for logins. ``MODEL`` is the model servers', which talk to no API
server."""


def head(kind: Kind, namespace: str, name: str) -> Json:
    """Its first fields; ``namespace`` counts for what has one."""
    place = {"namespace": namespace} if kind.namespaced else {}
    return {
        **kind.header,
        "metadata": {"name": name, **place, "labels": dict(MARKS)},
    }
