"""Where a deployment serves: the adapter that ``VLLM_PROMOTE_SERVING`` asks for."""

import os

from steps.ports.serving import Serving
from steps.settings import Settings


def connect(settings: Settings, deployment: str) -> Serving:
    """Raises BadInput, Missing: no cluster is known here."""
    if settings.local_dir is not None:
        from steps.clients.local import serving

        return serving.connect(settings, deployment, os.environ)
    from steps.clients.kube import serving as kube

    return kube.connect(settings, deployment)


def deployments(settings: Settings) -> tuple[str, ...]:
    """Names of all that something was ever promoted to, in order. Raises Missing: no cluster is known here."""
    if settings.local_dir is not None:
        from steps.clients.local import serving

        return serving.deployments(settings.local_dir)
    from steps.clients.kube import cluster
    from steps.clients.kube import serving as kube

    return kube.deployments(cluster.connect(settings.cluster_namespace))
