"""What of the user's own environment reaches a model server: the machine's ways, never a secret.

The local engine hands the same to the steps, for one of them starts the server.
"""

from steps.settings import PREFIX

NAMES = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH"})
PREFIXES = (
    *("LC_", "LD_", "XDG_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "ROCR_", "HIP_"),
    *("OMP_", "MKL_", "KMP_", "MALLOC_", "TORCH", "TRITON_", "VLLM_"),
)
SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD")
"""Whatever it begins with: VLLM_API_KEY is the user's, and no step's business."""


def handed_on(name: str) -> bool:
    """Of an environment variable. Ours are not: what a server should know of them is in its arguments."""
    if name.startswith(PREFIX) or any(word in name.upper() for word in SECRET):
        return False
    return name in NAMES or name.startswith(PREFIXES)
