"""What pods are given: the settings, the catalog, and the authorities that they trust."""

from pathlib import Path

from steps.clients.kube.api import CONFIG_MAP, Json
from steps.core import catalog
from steps.core.catalog import Catalog
from steps.errors import BadInput
from workflows.address import is_loopback
from workflows.cluster.parts import head
from workflows.cluster_keys import CA_FILE
from workflows.config import Config
from workflows.pods import CA, CATALOG, SETTINGS

CATALOG_KEY = "catalog.yaml"
PEM = "-----BEGIN CERTIFICATE-----"


def given(config: Config) -> tuple[Json, ...]:
    """Raises BadInput naming the file, or the address, that cannot be used."""
    _require_reachable(config)
    held = {SETTINGS: config.cluster_environment(), CATALOG: {CATALOG_KEY: catalog_text(config)}}
    if config.ca_bundle:
        held[CA] = {CA_FILE: _authorities(config.ca_bundle)}
    return tuple({**head(CONFIG_MAP, config.namespace, name), "data": data} for name, data in held.items())


def catalog_text(config: Config) -> str:
    """As it is, with its comments, once it is known to be good. Raises BadInput."""
    text = _read(config.catalog_path, "name it with VLLM_PROMOTE_CATALOG, or with catalog in the settings' file")
    catalog.parse(text, str(config.catalog_path))
    return text


def parsed_catalog(config: Config) -> Catalog:
    """Raises BadInput."""
    return catalog.parse(catalog_text(config), str(config.catalog_path))


def _require_reachable(config: Config) -> None:
    """A shell in which somebody forwards a port to the store has an address that in a pod means the pod."""
    for key in ("aws_endpoint_url", "hf_endpoint", "https_proxy"):
        address: str | None = getattr(config, key)
        if address and is_loopback(address):
            raise BadInput(
                f"{key} is {address}, which in a pod is the pod itself; give install the address that pods reach, in "
                f"the settings' file and with no such variable in this shell"
            )


def _authorities(path: Path) -> str:
    text = _read(path, "mend ca_bundle")
    if PEM not in text:
        raise BadInput(f"{path} holds no certificate in PEM form; mend ca_bundle")
    return text


def _read(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = (err.strerror if isinstance(err, OSError) else None) or "not UTF-8"
        raise BadInput(f"{path} cannot be read ({reason}); {remedy}") from err
