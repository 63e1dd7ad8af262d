"""Everything that ``install`` puts into a cluster, as values in the order in which it is applied."""

from collections.abc import Mapping

from steps.clients.kube.api import NAMESPACE, Json
from workflows import cron, render
from workflows.address import port
from workflows.cluster import given, network, reach, rights
from workflows.cluster.parts import MARKS, head
from workflows.cluster.volume import volume
from workflows.config import Config
from workflows.pods import TemplateConfig
from workflows.template import build, build_rollback

TRIED_WITH = "v1.34"
"""Of Pod Security's rules. Pinned, so that a cluster's upgrade refuses no pod that it took the day before."""


def objects(config: Config) -> tuple[Json, ...]:
    """Raises BadInput for a catalog, or a bundle of authorities, that cannot be used."""
    return tuple(each for topic in topics(config).values() for each in topic)


def topics(config: Config) -> Mapping[str, tuple[Json, ...]]:
    """The same, by what it is about; a topic that this cluster does not need is empty."""
    namespace = config.namespace
    template_config = render.template_config(config, tuple(sorted(given.parsed_catalog(config).deployments)))
    return {
        "namespace": (_namespace(namespace),) if config.cluster_scoped else (),
        "accounts": (
            *rights.accounts(namespace, config.image_pull_secrets),
            *rights.roles(namespace),
            *(rights.node_reader(namespace) if config.cluster_scoped and config.node_reader else ()),
        ),
        "volume": volume(config, namespace),
        "settings": given.given(config),
        "network": _network(config) if config.network_policies else (),
        "templates": _templates(template_config, namespace),
        "crons": tuple(_marked(each) for each in cron.objects(template_config, namespace)),
    }


def _namespace(name: str) -> Json:
    """Violations of newer rules are told, not refused."""
    body = head(NAMESPACE, "", name)
    for mode, version in (("enforce", TRIED_WITH), ("audit", "latest"), ("warn", "latest")):
        body["metadata"]["labels"] |= {
            f"pod-security.kubernetes.io/{mode}": "restricted",
            f"pod-security.kubernetes.io/{mode}-version": version,
        }
    return body


def _network(config: Config) -> tuple[Json, ...]:
    ports = (*map(port, reach.outside(config)), *config.egress_ports)
    return network.policies(config.namespace, ports, config.client_namespaces)


def _templates(config: TemplateConfig, namespace: str) -> tuple[Json, ...]:
    return tuple(_marked(_placed(built.to_dict(), namespace)) for built in (build(config), build_rollback(config)))


def _placed(body: Json, namespace: str) -> Json:
    metadata = body["metadata"]
    return {**body, "metadata": {"name": metadata["name"], "namespace": namespace, **metadata}}


def _marked(body: Json) -> Json:
    """So that ``uninstall`` finds it; what else it is labelled with stays."""
    metadata = body["metadata"]
    return {**body, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **MARKS}}}
