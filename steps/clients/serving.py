"""Where a deployment serves: the adapter that ``VLLM_PROMOTE_SERVING`` asks for."""

import os

from steps.errors import BadInput
from steps.ports.serving import Serving
from steps.settings import Settings


def connect(settings: Settings, deployment: str) -> Serving:
    """Raises BadInput."""
    if settings.local_dir is not None:
        from steps.clients.local import serving

        return serving.connect(settings, deployment, os.environ)
    raise BadInput(f"{settings.serving} is not built yet; set VLLM_PROMOTE_SERVING=local://DIRECTORY")
