"""What a cluster has told of one of its objects."""

from steps.clients.kube.api import EVENT, Api, Json
from steps.core import pod_state


def about(api: Api, uid: str) -> list[Json]:
    """Oldest first."""
    found = api.list(EVENT, fields=f"involvedObject.uid={uid}")
    return sorted(found, key=lambda event: pod_state.moment(event) or 0.0)
