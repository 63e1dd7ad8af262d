"""Where model servers keep what they compile, on the claim that the catalog names for it: a start then takes less time.

What was compiled by one image for one device is of no use to another.
"""

from collections.abc import Mapping
from typing import Any

from steps.core import canonical
from steps.core.release import Release

MOUNT = "/cache"
"""Of the claim."""
_PLACES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
}
"""Where vLLM and what it compiles with keep that; each makes its own directory."""


def claims(patch: Mapping[str, Any]) -> tuple[str, ...]:
    """The one that a pod patch names, if any."""
    claim = patch.get("cacheClaim")
    return (str(claim),) if claim else ()


def directory(release: Release) -> str:
    key = canonical.digest({"image": release.serving.image, "device": release.serving.device})
    return f"{MOUNT}/{release.deployment}/{key[:12]}"


def variables(release: Release) -> dict[str, str]:
    """Of the model server."""
    return {name: f"{directory(release)}/{place}" for name, place in _PLACES.items()}
