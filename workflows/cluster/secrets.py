"""The Secrets that pods are given: whether they are there, and how to make them. No value passes through here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.clients.kube.api import SECRET, Api
from steps.clients.kube.errors import Forbidden
from workflows.pods import HUB_SECRET, KEY_SECRET, S3_SECRET

REGISTRY_KEY = ".dockerconfigjson"
FILE = "FILE"
"""Stands for a name that the person gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """``purpose`` lets a person judge whether it is needed."""

    name: str
    keys: tuple[str, ...]
    purpose: str


S3 = Wanted(
    name=S3_SECRET,
    keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    purpose="needed unless the cloud gives pods an identity",
)
HUB = Wanted(name=HUB_SECRET, keys=("HF_TOKEN",), purpose="needed for models that are not open to all")
API_KEY = Wanted(
    name=KEY_SECRET, keys=("VLLM_API_KEY",), purpose="needed if model servers are to ask their clients for a key"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """``keys`` are those that are missing; ``whole``: the Secret is."""

    wanted: Wanted
    keys: tuple[str, ...]
    whole: bool


def wanted(pull_secrets: Iterable[str]) -> tuple[Wanted, ...]:
    """All that a cluster may have; pull secrets are by name."""
    pulling = (Wanted(name=n, keys=(REGISTRY_KEY,), purpose="needed to pull images") for n in pull_secrets)
    return (S3, HUB, API_KEY, *pulling)


def lacking(api: Api, secrets: Iterable[Wanted]) -> Iterator[Lack]:
    """What is not there. One that we have no right to look at is taken to be there."""
    for each in secrets:
        try:
            found = api.get(SECRET, each.name)
        except Forbidden:
            continue
        held = (found or {}).get("data", {})
        if missing := tuple(key for key in each.keys if not held.get(key)):
            yield Lack(wanted=each, keys=missing, whole=found is None)


def sentence(lack: Lack) -> str:
    return f"Secret {lack.wanted.name} {'is not there' if lack.whole else f'lacks {_listed(lack.keys)}'}"


def remedy(lack: Lack, namespace: str) -> str:
    """What a person types; the values come from a file, for a command line is seen by others and remembered."""
    name = lack.wanted.name
    source = f"--from-env-file={FILE}"
    if lack.wanted.keys == (REGISTRY_KEY,):
        source = f"--type=kubernetes.io/dockerconfigjson --from-file={REGISTRY_KEY}={FILE}"
    create = f"kubectl -n {namespace} create secret generic {name} {source}"
    return create if lack.whole else f"kubectl -n {namespace} delete secret {name} && {create}"


def content(secret: Wanted) -> str:
    """Of the file in the remedy."""
    if secret.keys == (REGISTRY_KEY,):
        return f"{FILE} is what docker login wrote, ~/.docker/config.json"
    return f"{FILE} holds {_listed(tuple(f'{key}=...' for key in secret.keys))}, a line each"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)
