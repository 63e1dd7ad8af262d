"""A command at work on a cluster: how it is reached, and whether the person agrees."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from steps.errors import Missing, Transient
from workflows.command import NotSubmitted
from workflows.config import Config

if TYPE_CHECKING:
    from steps.clients.kube.cluster import Cluster


@contextmanager
def reaching() -> Iterator[None]:
    """What cannot be asked in here: nothing was changed."""
    try:
        yield
    except Transient as err:
        raise NotSubmitted(f"the cluster cannot be reached, nothing was changed: {err}") from err


def connect(config: Config) -> "Cluster":
    """Raises NotSubmitted where no cluster is known."""
    from steps.clients.kube import cluster

    try:
        return cluster.connect(config.namespace)
    except Missing as err:
        raise NotSubmitted(str(err)) from err


def agreed(question: str, *, yes: bool) -> bool:
    """By flag or by word. Where nobody can answer the answer is no."""
    return yes or (sys.stdin.isatty() and typer.confirm(question))
