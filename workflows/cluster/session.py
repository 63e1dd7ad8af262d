"""A command at work on a cluster: how it is reached, and whether the person agrees."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from steps.errors import Missing, Refused, Transient
from workflows.command import NotSubmitted

if TYPE_CHECKING:
    from steps.clients.kube.cluster import Cluster
    from workflows.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What a person has said beforehand, by flags."""

    dry_run: bool
    yes: bool
    take_over: bool = False


@contextmanager
def reaching() -> Iterator[None]:
    """What cannot be asked in here: nothing was changed."""
    try:
        yield
    except Transient as err:
        raise NotSubmitted(f"the cluster cannot be reached, nothing was changed: {err}") from err


def connect(config: "Config") -> "Cluster":
    """Raises NotSubmitted where no cluster is known."""
    from steps.clients.kube import cluster

    try:
        return cluster.connect(config.namespace)
    except Missing as err:
        raise NotSubmitted(str(err)) from err


def require_agreement(question: str, consent: Consent) -> None:
    """By flag or by word. Raises Refused; where nobody can be asked the answer is no."""
    if not consent.yes and not (sys.stdin.isatty() and typer.confirm(f"\n{question}")):
        raise Refused("not agreed to, so nothing was changed; where nobody can be asked, add --yes")
