"""Where images come from: references rewritten to a registry of one's own, and what has to be copied there first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from steps.errors import BadInput

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?"
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(rf"{_HOST}(?:/{_NAME})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Copy:
    """One image, under the reference that it has and under the one that pods will ask for."""

    source: str
    target: str


def check_registry(text: str) -> str:
    """``HOST/PATH``, returned as it is; empty stands for none. Raises BadInput."""
    if text and not _REGISTRY.fullmatch(text):
        raise BadInput(f"{text[:80]!r} is no registry; write HOST/PATH, without https:// and without / at its end")
    return text


def rewritten(image: str, registry: str) -> str:
    """The same repository, tag and digest below ``registry``, its own host left out; without a registry as it is."""
    if not registry or image.startswith(f"{registry}/"):
        return image
    return f"{registry}/{_without_host(image)}"


def copies(images: Iterable[str], registry: str) -> tuple[Copy, ...]:
    """Sorted, each once. Raises BadInput where two images would become one."""
    found: dict[str, str] = {}
    for image in sorted(set(images)):
        target = rewritten(image, registry)
        if found.setdefault(target, image) != image:
            raise BadInput(f"{found[target]} and {image} would both become {target}; copy one to another name yourself")
    return tuple(Copy(source, target) for target, source in found.items() if source != target)


def _without_host(image: str) -> str:
    """Docker's rule: a first part with a dot or a port in it, or ``localhost``, is a host."""
    host, slash, path = image.partition("/")
    return path if slash and (host == "localhost" or "." in host or ":" in host) else image
