"""Where promotions are begun: in the cluster that ``VLLM_PROMOTE_SERVING`` names."""

from steps.ports.runs import Runs
from steps.settings import Settings


def connect(settings: Settings) -> Runs | None:
    """None on one machine: nobody is there to carry out what a clock began. Raises Missing without a cluster."""
    if settings.kube_namespace is None:
        return None
    from steps.clients.kube import cluster
    from steps.clients.kube.runs import KubeRuns

    return KubeRuns(cluster.connect(settings.kube_namespace))
