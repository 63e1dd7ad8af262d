"""Which fields of a manifest the local engine carries out, which mean nothing on one machine; it refuses all others.

A silent difference between the two engines would make a green run on a laptop worth nothing. So each field that the
templates come to use has to be put into one of the two lists, or made to work, before the engine takes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steps.errors import BadInput

IMPLEMENTED = (
    "apiVersion",
    "kind",
    "metadata.name",
    "spec.arguments.parameters[].description",
    "spec.arguments.parameters[].name",
    "spec.arguments.parameters[].value",
    "spec.entrypoint",
    "spec.onExit",
    "spec.synchronization.mutexes[].name",
    "spec.templates[].activeDeadlineSeconds",
    "spec.templates[].container.args[]",
    "spec.templates[].container.command[]",
    "spec.templates[].container.env[].name",
    "spec.templates[].container.env[].value",
    "spec.templates[].container.env[].valueFrom.secretKeyRef.*",
    "spec.templates[].container.envFrom[].configMapRef.*",
    "spec.templates[].container.envFrom[].secretRef.*",
    "spec.templates[].dag.tasks[].arguments.parameters[].name",
    "spec.templates[].dag.tasks[].arguments.parameters[].value",
    "spec.templates[].dag.tasks[].depends",
    "spec.templates[].dag.tasks[].name",
    "spec.templates[].dag.tasks[].template",
    "spec.templates[].dag.tasks[].when",
    "spec.templates[].dag.tasks[].withParam",
    "spec.templates[].inputs.parameters[].default",
    "spec.templates[].inputs.parameters[].name",
    "spec.templates[].name",
    "spec.templates[].outputs.parameters[].name",
    "spec.templates[].outputs.parameters[].valueFrom.default",
    "spec.templates[].outputs.parameters[].valueFrom.path",
    "spec.templates[].retryStrategy.backoff.cap",
    "spec.templates[].retryStrategy.backoff.duration",
    "spec.templates[].retryStrategy.backoff.factor",
    "spec.templates[].retryStrategy.backoff.maxDuration",
    "spec.templates[].retryStrategy.expression",
    "spec.templates[].retryStrategy.limit",
)
MEANINGLESS = (
    "metadata.annotations.*",
    "metadata.labels.*",
    "metadata.namespace",
    "spec.arguments.parameters[].enum[]",  # binds no run that gives the value, in Argo neither
    "spec.podGC.*",  # attempts leave no pod, and their logs are kept
    "spec.podMetadata.*",
    "spec.podSpecPatch",
    "spec.securityContext.*",  # steps run as the user who started them
    "spec.serviceAccountName",
    "spec.templates[].container.image",  # the checkout is the image
    "spec.templates[].container.imagePullPolicy",
    "spec.templates[].container.resources.*",
    "spec.templates[].container.securityContext.*",
    "spec.templates[].container.volumeMounts[].*",  # settings name the directories
    "spec.templates[].metadata.*",
    "spec.templates[].serviceAccountName",
    "spec.ttlStrategy.*",
    "spec.volumes[].*",
    "spec.workflowMetadata.*",
)
"""``*`` at the end stands for everything below."""


def check(manifest: Mapping[str, Any]) -> None:
    """Raises BadInput naming every field that the engine does not know."""
    refused = sorted({path for path in paths(manifest) if not _known(path)})
    if refused:
        raise BadInput(
            f"the local engine does not know {', '.join(refused)}; take it out of the template, run it on Argo, "
            f"or add it to workflows/local/fields.py"
        )


def paths(value: Any) -> Iterator[str]:
    """Every leaf as ``spec.templates[].name``. An empty list is one that ends in ``[]``, an empty mapping in a dot."""
    return (path for path, _ in leaves(value))


def leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """The same with what stands there."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, f"{above}.{key}" if above else str(key))
        if not value:
            yield f"{above}.", value
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for below in value:
            yield from leaves(below, f"{above}[]")
        if not value:
            yield f"{above}[]", value
    else:
        yield above, value


def matches(pattern: str, path: str) -> bool:
    literal, star, _ = pattern.partition("*")
    return path.startswith(literal) and path != literal if star else path == pattern


def meaningless(path: str) -> bool:
    return any(matches(pattern, path) for pattern in MEANINGLESS)


def _known(path: str) -> bool:
    """What is empty says nothing, where something known could stand in it."""
    if path.endswith(("[]", ".")) and any(p.startswith(path) for p in (*IMPLEMENTED, *MEANINGLESS)):
        return True
    return meaningless(path) or any(matches(pattern, path) for pattern in IMPLEMENTED)
