"""The catalog's ``pod`` block: what a cluster's operator may say of a model server's pod, in Kubernetes' own words.

Everything else of the pod is the pipeline's: its security context, its volumes, its probes, its command.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from steps.core import secrets
from steps.core.catalog_text import Block
from steps.core.workload import API_KEY, API_KEY_SECRET, GPU, OURS


def _not_gpus(amounts: dict[str, str]) -> dict[str, str]:
    if GPU in amounts:
        raise ValueError(f"GPUs are asked for by the entry's own key gpus; remove {GPU}")
    return amounts


Quantity = Annotated[
    str,
    BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v),
    Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"),
]
Amounts = Annotated[dict[str, Quantity], AfterValidator(_not_gpus)]


class KubernetesBlock(Block, alias_generator=to_camel):
    """Keys are written in Kubernetes' camel case."""


class Resources(KubernetesBlock):
    requests: Amounts = Field(default_factory=dict)
    limits: Amounts = Field(default_factory=dict)


class EnvVar(KubernetesBlock):
    """A variable of the model server: a plain value, or where Kubernetes finds it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: str | None = None
    value_from: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _not_ours(self) -> "EnvVar":
        if self.name == API_KEY:
            raise ValueError(f"{API_KEY} comes from key {API_KEY} of Secret {API_KEY_SECRET}; put it there, not here")
        if self.name in OURS:
            raise ValueError(f"{self.name} is not the catalog's to set; remove it")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> "EnvVar":
        if (self.value is None) == (self.value_from is None):
            raise ValueError("give either value or valueFrom")
        if self.name in (*secrets.NAMES, *secrets.BESIDE_THEM) and self.value is not None:
            raise ValueError(f"{self.name} is a secret; take it from one with valueFrom")
        return self


class LocalObject(KubernetesBlock):
    name: str


class Pod(KubernetesBlock):
    """``shm_size`` is that of /dev/shm, ``cache_claim`` a PersistentVolumeClaim that uid 1000 can write to.

    The other keys are a PodSpec's, ``env`` and ``resources`` its container's.
    """

    tolerations: tuple[dict[str, Any], ...] = ()
    node_selector: dict[str, str] = Field(default_factory=dict)
    affinity: dict[str, Any] = Field(default_factory=dict)
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    image_pull_secrets: tuple[LocalObject, ...] = ()
    env: tuple[EnvVar, ...] = ()
    shm_size: Quantity | None = None
    resources: Resources = Resources()
    cache_claim: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] | None = None
    """A claim for what its servers compile, so that the next start finds it; whoever can write there, runs in them."""

    def patch(self) -> dict[str, Any]:
        """What the catalog says and no more, as JSON."""
        return self.model_dump(by_alias=True, exclude_unset=True, mode="json")
