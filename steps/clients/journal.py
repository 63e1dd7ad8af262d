"""Who keeps the runs: the engine of the place that ``VLLM_PROMOTE_SERVING`` names."""

from steps.ports.journal import Journal
from steps.settings import Settings


def connect(settings: Settings) -> Journal:
    """Raises Missing where no cluster is known."""
    if settings.local_dir is not None:
        from steps.clients.local.journal import LocalJournal

        return LocalJournal(settings.local_dir)
    from steps.clients.kube import cluster
    from steps.clients.kube.journal import KubeJournal

    return KubeJournal(cluster.connect(settings.cluster_namespace))
