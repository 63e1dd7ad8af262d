"""A command at work on a cluster: how it is reached, and whether the person agrees."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from steps.errors import Missing, Refused, Transient
from workflows.command import NotSubmitted, submitting

if TYPE_CHECKING:
    from steps.clients.kube.cluster import Cluster
    from workflows.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What a person has said beforehand, by flags."""

    dry_run: bool
    yes: bool
    take_over: bool = False


def asking() -> AbstractContextManager[None]:
    """Before anything is changed. Raises NotSubmitted where the cluster does not answer."""
    return submitting((Transient,), what="ask the cluster, so nothing was changed")


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
