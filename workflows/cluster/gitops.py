"""An installation as files, for whoever keeps a cluster in git: the same objects, in the same words each time."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from steps.clients.kube.api import Json
from workflows.cluster.difference import to_yaml

INDEX = "kustomization.yaml"


def write(directory: Path, topics: Mapping[str, Iterable[Json]]) -> tuple[Path, ...]:
    """Paths of the files, each topic's and kustomize's; a file of ours that is not needed any more is removed."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = files(topics)
    for name in {f"{topic}.yaml" for topic in topics} - texts.keys():
        (directory / name).unlink(missing_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return tuple(directory / name for name in texts)


def files(topics: Mapping[str, Iterable[Json]]) -> dict[str, str]:
    """By name, in the order in which they are applied; last the index."""
    held = {f"{topic}.yaml": "---\n".join(map(to_yaml, objects)) for topic, objects in topics.items()}
    named = {name: text for name, text in held.items() if text}
    index = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*named]}
    return {**named, INDEX: to_yaml(index)}
