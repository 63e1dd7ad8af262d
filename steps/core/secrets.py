"""Environment variables whose values nobody may see: hidden in what a step says, and no plain text in a catalog."""

NAMES = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("ARGO_TOKEN", "VLLM_API_KEY"),
)
BESIDE_THEM = ("AWS_ACCESS_KEY_ID",)
"""No secret, and often an ordinary word; it comes out of the same Kubernetes Secret as its key."""
