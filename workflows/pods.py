"""What each step's pod is given: image, rights, volumes, secrets, room and time. All else it does not get."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hera.workflows import Container
from hera.workflows.models import (
    Capabilities,
    ConfigMapEnvSource,
    ConfigMapVolumeSource,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    Metadata,
    PersistentVolumeClaimVolumeSource,
    PodSecurityContext,
    Quantity,
    ResourceRequirements,
    SeccompProfile,
    SecretEnvSource,
    SecretKeySelector,
    SecurityContext,
    Volume,
    VolumeMount,
)

from steps.contracts import MIRROR
from steps.core.labels import PART_OF, PROJECT
from steps.core.workload import API_KEY, API_KEY_SECRET
from steps.settings import PREFIX, RETRY_BASE_SECONDS
from steps.step import Step
from workflows import bridge
from workflows.cluster_keys import CA_DIRECTORY
from workflows.config import CATALOG_DIRECTORY, MODELS_DIRECTORY

S3_SECRET = "s3-credentials"  # noqa: S105  # a name; keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
HUB_SECRET = "hf-token"  # noqa: S105  # a name; key HF_TOKEN
KEY_SECRET = API_KEY_SECRET
SETTINGS = "vllm-promote"
"""ConfigMap with the settings of `steps.settings` as environment variables."""
CATALOG = "vllm-promote-catalog"
"""ConfigMap with key ``catalog.yaml``, mounted where the settings' ``VLLM_PROMOTE_CATALOG`` should point."""
CA = "vllm-promote-ca"
"""ConfigMap with the authorities that the outside's certificates are from, where those are a company's own."""
HOUR = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateConfig:
    """What differs between clusters. Image references are best pinned by digest."""

    transfer_image: str = "vllm-promote/transfer:dev"
    cluster_image: str = "vllm-promote/cluster:dev"
    image_pull_policy: str = "IfNotPresent"
    data_account: str = "vllm-promote-data"
    """Service account of the steps that move bytes: no right but Argo's own."""
    serving_account: str = "vllm-promote-serving"
    """Of the steps that read and change what serves."""
    refresh_account: str = "vllm-promote-refresh"
    """Of the nightly refresh: begins runs, changes nothing else."""
    reconcile_account: str = "vllm-promote-reconcile"
    models_claim: str = "models"
    """ReadWriteMany; uid and gid 1000 can write to it."""
    one_pass: bool = True
    """Whether mirror's pods have the models' volume."""
    deployments: tuple[str, ...] = ()
    """The catalog's, which Argo's UI offers for choice; without any, a name is typed there."""
    retry_base_seconds: float = RETRY_BASE_SECONDS
    refresh_schedule: str = "0 3 * * *"
    reconcile_schedule: str = "*/10 * * * *"
    audit_schedule: str = ""
    """Empty: never by itself."""
    timezone: str = "Etc/UTC"

    def image(self, step: Step[Any, Any]) -> str:
        return self.transfer_image if step.image == "transfer" else self.cluster_image

    def account(self, step: Step[Any, Any]) -> str:
        of_their_own = {"refresh": self.refresh_account, "reconcile": self.reconcile_account}
        return of_their_own.get(step.name) or (self.data_account if step.image == "transfer" else self.serving_account)


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """``hours`` is a backstop above every deadline that the step keeps itself; it counts for each attempt anew.

    Steps that bring a model up wait for as long as its bytes take to load, which no template can know.
    """

    hours: float
    retries: int = 5
    s3: bool = False
    hub: bool = False
    models: Literal["no", "read", "write"] = "no"
    catalog: bool = False
    key: bool = False
    """The model servers' API key."""
    prepares: bool = False
    """Pods of its own image, on the nodes where models serve."""
    progress: bool = False


NEEDS: Mapping[str, Needs] = {
    "resolve": Needs(hours=0.5, s3=True, hub=True, catalog=True),
    "preflight": Needs(hours=12, s3=True, models="read", key=True),  # may bring back what a dead owner left
    "mirror": Needs(hours=24, s3=True, hub=True, models="write", progress=True),
    "populate": Needs(hours=24, s3=True, models="write", progress=True),
    "checksum": Needs(hours=24, models="read", progress=True),
    "deploy": Needs(hours=12, retries=2, s3=True, key=True, prepares=True),
    "smoke": Needs(hours=12, retries=2, s3=True, key=True, prepares=True),  # a retry may begin anew what deploy did
    # After a rollback the store alone knows a first release.
    "promote": Needs(hours=12, s3=True, key=True, prepares=True),
    "rollback": Needs(hours=12, s3=True, key=True),  # for what the candidate said; it needs no store to go back
    "report": Needs(hours=0.5, s3=True),
    "discover": Needs(hours=2, s3=True, hub=True, catalog=True),
    "refresh": Needs(hours=0.5, s3=True),
    "reconcile": Needs(hours=3, s3=True, key=True),  # a CronJob's: its next turn goes on where this one ended
    "audit": Needs(hours=48, s3=True, hub=True, models="write"),  # also a CronJob's; it reads terabytes
}


def template(step: Step[Any, Any], config: TemplateConfig) -> Container:
    """The container template of a step, complete."""
    needs = _needs(step, config)
    return bridge.container(
        step,
        image=config.image(step),
        retry_strategy=bridge.retry(needs.retries, config.retry_base_seconds),
        image_pull_policy=config.image_pull_policy,
        service_account_name=config.account(step),
        active_deadline_seconds=int(needs.hours * HOUR),
        env=_environment(needs, config.image(step)),
        env_from=_environment_sources(needs),
        volume_mounts=_mounts(needs),
        resources=_resources(step),
        security_context=SecurityContext(
            allow_privilege_escalation=False,
            capabilities=Capabilities(drop=["ALL"]),
            read_only_root_filesystem=True,
            run_as_non_root=True,
            seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        ),
        labels={"app.kubernetes.io/component": step.name},
        annotations={"workflows.argoproj.io/progress": "0/100"} if needs.progress else None,
    )


def spec(config: TemplateConfig) -> dict[str, Any]:
    """The parts of a workflow's spec that every pod shares, as Hera's keyword arguments."""
    return {
        "service_account_name": config.data_account,
        "security_context": PodSecurityContext(
            run_as_non_root=True,
            run_as_user=1000,
            run_as_group=1000,  # Kubernetes gives gid 0 otherwise, and the volume would belong to root's group
            fs_group=1000,
            fs_group_change_policy="OnRootMismatch",  # else every start may chown the whole tree of models
            seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        ),
        "pod_spec_patch": _patch_of_argos_own_containers(),
        "pod_metadata": Metadata(labels={PART_OF: PROJECT}),
        "volumes": [
            Volume(name="tmp", empty_dir=EmptyDirVolumeSource(size_limit=Quantity(root="1Gi"))),
            Volume(
                name="models",
                persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=config.models_claim),
            ),
            Volume(name="catalog", config_map=ConfigMapVolumeSource(name=CATALOG)),
            Volume(name="ca", config_map=ConfigMapVolumeSource(name=CA, optional=True)),
        ],
    }


def _needs(step: Step[Any, Any], config: TemplateConfig) -> Needs:
    needs = NEEDS[step.name]
    return needs if config.one_pass or step is not MIRROR else replace(needs, models="no")


def _environment(needs: Needs, image: str) -> list[EnvVar]:
    """Optional: public models need no token, and servers that only the cluster reaches perhaps no key."""
    own = [EnvVar(name=PREFIX + "IMAGE", value=image)] if needs.prepares else []
    secrets = {"HF_TOKEN": HUB_SECRET} if needs.hub else {}
    secrets |= {API_KEY: KEY_SECRET} if needs.key else {}
    return own + [
        EnvVar(name=key, value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name=name, key=key, optional=True)))
        for key, name in secrets.items()
    ]


def _environment_sources(needs: Needs) -> list[EnvFromSource]:
    settings = EnvFromSource(config_map_ref=ConfigMapEnvSource(name=SETTINGS))
    # Optional: where the cloud gives pods an identity there is no such Secret. Where it was forgotten, the step says so
    # in seconds, while a pod that waits for a Secret would hold the mutex for ever.
    s3 = EnvFromSource(secret_ref=SecretEnvSource(name=S3_SECRET, optional=True))
    return [settings, s3] if needs.s3 else [settings]


def _mounts(needs: Needs) -> list[VolumeMount]:
    mounts = [
        VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108  # the pod's own
        VolumeMount(name="ca", mount_path=CA_DIRECTORY, read_only=True),
    ]
    if needs.models != "no":
        read_only = True if needs.models == "read" else None
        mounts.append(VolumeMount(name="models", mount_path=MODELS_DIRECTORY, read_only=read_only))
    if needs.catalog:
        mounts.append(VolumeMount(name="catalog", mount_path=CATALOG_DIRECTORY, read_only=True))
    return mounts


def _resources(step: Step[Any, Any]) -> ResourceRequirements:
    """No step asks for a GPU: it would take it in the gap of a roll-out."""
    cpu, memory = ("500m", "512Mi") if step.image == "transfer" else ("100m", "384Mi")
    return ResourceRequirements(
        requests={"cpu": Quantity(root=cpu), "memory": Quantity(root=memory)},
        limits={"memory": Quantity(root=memory)},
    )


def _patch_of_argos_own_containers() -> str:
    """Argo sets no security context on ``init`` and ``wait``, so a restricted namespace would refuse every pod."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    patch = {
        "initContainers": [{"name": "init", "securityContext": context}],
        "containers": [{"name": "wait", "securityContext": context}],
    }
    return json.dumps(patch, separators=(",", ":"))
