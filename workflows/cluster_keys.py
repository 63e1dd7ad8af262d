"""What ``install`` is told about a cluster: keys of the same file, and of the environment, as all other settings."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from steps.core.catalog_text import checked
from steps.core.images import check_registry
from steps.core.pod import Quantity
from workflows.address import Address
from workflows.timetable import check_schedule, check_timezone

CA_DIRECTORY = "/etc/vllm-promote-ca"
CA_FILE = "ca.crt"
"""Where a pod finds the cluster's own authorities, if it has any."""
NEVER_PROXIED = (
    *("localhost", "127.0.0.1", ".svc", ".cluster.local"),
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # a pod knows the API server by its address only
)


def _words(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Port = Annotated[int, Field(ge=1, le=65535)]
Schedule = Annotated[str, AfterValidator(check_schedule)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_words)]
"""A list in the file; in the environment words between commas or spaces."""


class ClusterKeys(BaseModel):
    """Each has a default that works where the volume claim ``models`` is there already."""

    cluster_scoped: bool = True
    """False where only the namespace is ours: the Namespace object, an NFS share's volume and the right to read nodes
    are then left to whoever runs the cluster."""
    node_reader: bool = True
    """Whether steps may list the nodes, to refuse a release that none has the GPUs for. False where nodes come only
    once a pod asks for them: with none of them there, every release would be refused."""
    transfer_image: str | None = None
    cluster_image: str | None = None
    """None: what ``make images`` builds."""
    registry: Annotated[str, AfterValidator(checked(check_registry))] = ""
    """``HOST/PATH`` that every image comes from, ours and the model servers'; empty: each from where it is."""
    image_pull_secrets: Names = ()
    claim: Name = "models"
    """ReadWriteMany. Made by ``install`` where ``nfs`` or ``storage_class`` is given, else it must be there."""
    nfs: Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):/[^\s:]*$")] | None = None
    """``SERVER:/PATH``."""
    storage_class: Name | None = None
    storage_size: Quantity = "1Ti"
    """An NFS server does not heed it."""
    ca_bundle: Path | None = None
    """PEM file with every authority that the steps may trust: it takes the place of the images' own."""
    https_proxy: Address | None = None
    no_proxy: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ()
    """Beside what never goes through a proxy: names within the cluster, and private addresses."""
    network_policies: bool = True
    egress_ports: Annotated[tuple[Port, ...], NoDecode, BeforeValidator(_words)] = ()
    """Where the steps find API server, store and Hub, beside 443, 6443 and those of the URLs: behind a Service, where
    policies look, the port may be another. ``install`` asks the cluster for them; files for GitOps need them here."""
    client_namespaces: Names = ()
    """Whose pods may reach the model servers; empty: those of every namespace."""
    refresh_schedule: Schedule | None = None
    reconcile_schedule: Schedule | None = None
    audit_schedule: Schedule | None = None
    """None: all that is stored and published is read again only when a person asks for it."""
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = None

    @model_validator(mode="after")
    def _one_kind_of_volume(self) -> "ClusterKeys":
        if self.nfs and self.storage_class:
            raise ValueError("nfs and storage_class both say where the volume comes from; remove one of them")
        if self.nfs and not self.cluster_scoped:
            raise ValueError(
                "an NFS share needs a PersistentVolume, which cluster_scoped = false forbids; "
                "have the claim made by whoever runs the cluster, and give its name as claim"
            )
        return self

    def trust(self) -> dict[str, str]:
        """Variables of a pod; each library heeds another one."""
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
        return dict.fromkeys(names, f"{CA_DIRECTORY}/{CA_FILE}") if self.ca_bundle else {}

    def proxies(self) -> dict[str, str]:
        """Variables of a pod."""
        if not self.https_proxy:
            return {}
        return {"HTTPS_PROXY": self.https_proxy, "NO_PROXY": ",".join((*NEVER_PROXIED, *self.no_proxy))}
