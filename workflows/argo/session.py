"""What a command works with that acts on a cluster: its settings, its API, and the installation's catalog."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from steps.clients.kube import cluster
from steps.clients.kube.api import CONFIG_MAP, Api
from steps.clients.kube.errors import Forbidden
from steps.core import catalog as catalogs
from steps.core.catalog import Catalog
from steps.errors import Missing, Transient
from steps.settings import Settings, from_environment
from workflows.asked import read_catalog
from workflows.checkout import typed
from workflows.command import NotSubmitted, submitting
from workflows.config import Config
from workflows.pods import CATALOG


def settings(config: Config) -> Settings:
    """What the steps are told there, for the command's own clients. Raises BadInput."""
    return from_environment(config.cluster_environment())


def connect(config: Config, what: str) -> Api:
    """``what`` is to be done. Raises NotSubmitted."""
    with reaching(what):
        return cluster.connect(config.namespace)


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Raises NotSubmitted where no cluster is known."""
    try:
        yield
    except Missing as err:
        raise NotSubmitted(f"could not {what}: {err}; or add --local to use this machine") from err


def become(config: Config) -> None:
    """Let this process's own clients find Hub and store where the settings say; who asks is told by its environment."""
    region = config.aws_region
    told = {
        "AWS_ENDPOINT_URL": config.aws_endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,  # boto3 heeds this one alone
        "HF_ENDPOINT": config.hf_endpoint,
    }
    os.environ.update({name: value for name, value in told.items() if value})


@contextmanager
def from_here(config: Config) -> Iterator[None]:
    """Hub and store are asked by this machine and for its user, which is not who the steps are. Raises StepErrors."""
    become(config)
    try:
        yield
    except Forbidden:  # the cluster's own
        raise
    except (Missing, Transient) as err:
        raise type(err)(
            f"{err}; from this machine Hub and store are asked with your own HF_* and AWS_* variables"
        ) from err


def installed_catalog(config: Config, what: str) -> Catalog:
    """The steps go by it, whatever lies on the machine of whoever wants to do ``what``. Raises NotSubmitted, BadInput.

    Who may not read it, or asks argo-server alone, is believed to have the same one.
    """
    if os.environ.get("ARGO_SERVER"):
        return read_catalog(config)
    api = connect(config, what)
    with submitting(what=what):
        installed = _installed(api)
    return read_catalog(config) if installed is None else installed


def _installed(api: Api) -> Catalog | None:
    """None for whom may not read it. Raises Missing where nothing is installed, BadInput for one that is damaged."""
    try:
        found = api.get(CONFIG_MAP, CATALOG)
    except Forbidden:
        return None
    if found is None:
        raise Missing(
            f"namespace {api.namespace} has no ConfigMap {CATALOG}; run {typed('workflows.install')}, "
            "or name the namespace where it is with VLLM_PROMOTE_NAMESPACE"
        )
    where = f"ConfigMap {CATALOG} in namespace {api.namespace}"
    return catalogs.parse(found.get("data", {}).get("catalog.yaml", ""), where)
