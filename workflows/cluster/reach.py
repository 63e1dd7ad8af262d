"""On which ports the steps find what lies outside: policies act behind a Service, where another port may be in use."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from steps.clients.kube.api import ENDPOINT_SLICE, SERVICE, Api, Json
from steps.clients.kube.errors import Forbidden
from steps.errors import Missing
from workflows.address import port
from workflows.config import Config

API_SERVER, DEFAULT = "kubernetes", "default"
"""The Service that every pod finds the API server by, and its namespace."""
OF_SERVICE = "kubernetes.io/service-name"
"""Label of an EndpointSlice."""
UNSEEN = (
    "No right to list endpointslices in namespace default, or none there: the network policies let steps reach the API "
    "server on 443, 6443 and egress_ports; where it listens on another, put that into egress_ports."
)

InNamespace = Callable[[str], Api]


def outside(config: Config) -> tuple[str, ...]:
    """URLs."""
    return tuple(filter(None, (config.aws_endpoint_url, config.hf_endpoint, config.https_proxy)))


def with_ports(config: Config, of: InNamespace) -> tuple[Config, bool]:
    """As this cluster answers, beside what is set; what one has no right to see is left to the setting.

    And whether it told where the API server is.
    """
    api_server = tuple(_api_server(of(DEFAULT)))
    found = {*config.egress_ports, *api_server}
    for address in outside(config):
        if named := _service(address, config.namespace):
            name, namespace = named
            found.update(_behind(of(namespace), name, port(address)))
    return config.model_copy(update={"egress_ports": tuple(sorted(found))}), bool(api_server)


def _api_server(api: Api) -> Iterator[int]:
    with suppress(Forbidden, Missing):
        yield from (each["port"] for each in _endpoints(api, API_SERVER))


def _behind(api: Api, name: str, number: int) -> Iterator[int]:
    """Of the pods that a Service's port leads to, as the Service says it and, where that is a name, as they have it."""
    with suppress(Forbidden, Missing):
        service = api.get(SERVICE, name) or {"spec": {}}
        said = [each for each in service["spec"].get("ports", ()) if each["port"] == number]
        yield from (each["targetPort"] for each in said if isinstance(each.get("targetPort"), int))
        names = {each.get("name", "") for each in said}
        yield from (each["port"] for each in _endpoints(api, name) if each.get("name", "") in names)


def _endpoints(api: Api, service: str) -> list[Json]:
    slices = api.list(ENDPOINT_SLICE, labels=f"{OF_SERVICE}={service}")
    return [each for one in slices for each in one.get("ports") or () if each.get("port")]


def _service(address: str, namespace: str) -> tuple[str, str] | None:
    """Name and namespace, where it may be one: NAME, NAME.NAMESPACE, NAME.NAMESPACE.svc and what follows."""
    match (urlsplit(address).hostname or "").split("."):
        case [name]:
            return name, namespace
        case [name, theirs] | [name, theirs, "svc", *_]:
            return name, theirs
    return None
