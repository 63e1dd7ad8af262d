"""The catalog: what is served under which name, and how. ``catalog.yaml`` in the repository shows every key.

    licenses: [apache-2.0, mit]     only these may be promoted; left out, any
    deployments:
      NAME: {model, revision, served_name, replicas, device, gpus, image, args, pod, strategy,
             startup_budget_seconds, smoke, allow_auto_map, accept_licenses, refresh}

Unknown keys, duplicate keys and values that could not work are refused where they stand in the file. A model, or a
deployment, that is not in the catalog gets the defaults of ``Entry``.
"""

import re
import shlex
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationError, model_validator

from steps.core import canonical
from steps.core.catalog_text import Block, checked, explain, load
from steps.core.images import rewritten
from steps.core.manifest import Manifest
from steps.core.names import check_commit, check_deployment, check_model, check_revision, default_deployment
from steps.core.pod import Pod
from steps.core.refresh import Refresh
from steps.core.release import Device, Release, Serving, Smoke, Strategy
from steps.errors import BadInput

DEFAULT_IMAGES: dict[Device, str] = {
    "cuda": "vllm/vllm-openai:v0.32.0",
    "cpu": "vllm/vllm-openai-cpu:v0.32.0",
}
"""By device. In production an entry names its own, by digest."""

_OURS = (
    *("--model", "--served-model-name", "--host", "--port", "--api-key", "--config", "--shutdown-timeout"),
    *("--tokenizer", "--hf-config-path", "--hf-token", "--download-dir", "--trust-remote-code"),
    *("--revision", "--code-revision", "--tokenizer-revision"),
)
"""Flags of vLLM that the pipeline sets itself, or that would let other bytes, code or secrets in than those proved."""
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/)?{_NAME}(?:/{_NAME})*(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
_SMOKE = Smoke()
TOKENS_OF_A_RATE = 2
"""The first of an answer says how long it took to begin; see ``core.gates.speed``."""


def _words(value: Any) -> Any:
    """Arguments are a list, or one line split as a shell would; numbers need no quotes."""
    if isinstance(value, str):
        return shlex.split(value)
    if isinstance(value, list):
        return [str(v) if type(v) in (int, float) else v for v in value]
    return value


def _not_ours(args: tuple[str, ...]) -> tuple[str, ...]:
    for arg, following in zip(args, (*args[1:], ""), strict=True):
        flag, _, value = arg.partition("=")
        flag = flag.replace("_", "-")
        if len(flag) > 2 and any(ours.startswith(flag) for ours in _OURS):  # vLLM takes abbreviations
            raise ValueError(f"{arg!r} is not the catalog's to set; remove it")
        if len(flag) > 2 and "--load-format".startswith(flag) and (value or following) != "safetensors":
            raise ValueError(f"{arg!r} would load other weights than the safetensors that are proved; remove it")
    return args


def _pinned(image: str) -> str:
    match = _IMAGE.fullmatch(image)
    if not match:
        raise ValueError(f"{image!r} is no image reference; write NAME:TAG or NAME@sha256:DIGEST")
    if not match["digest"] and match["tag"] in (None, "latest"):
        raise ValueError(f"{image!r} names no version, so what ran could not be told later; add a tag or a digest")
    return image


Text = Annotated[str, Field(min_length=1, max_length=4096)]
Count = Annotated[int, Strict()]
Positive = Annotated[float, Strict(), Field(gt=0, le=1e9, allow_inf_nan=False)]
Args = Annotated[tuple[Text, ...], BeforeValidator(_words), AfterValidator(_not_ours)]
Licenses = tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")], ...]


class SmokeTest(Block):
    """What a candidate must do; see ``core.release.Smoke``."""

    prompt: Text = _SMOKE.prompt
    expect: Text = _SMOKE.expect
    max_tokens: Annotated[Count, Field(ge=1, le=4096)] = _SMOKE.max_tokens
    max_first_token_seconds: Positive | None = None
    min_tokens_per_second: Positive | None = None
    max_first_token_of_live: Positive | None = None
    min_tokens_per_second_of_live: Positive | None = None
    max_logprob_change: Positive | None = _SMOKE.max_logprob_change

    @model_validator(mode="after")
    def _no_rate_of_one_token(self) -> "SmokeTest":
        """It would be found out when what serves has been stopped already."""
        rates = ("min_tokens_per_second", "min_tokens_per_second_of_live")
        asked = next((name for name in rates if getattr(self, name) is not None), None)
        if asked and self.max_tokens < TOKENS_OF_A_RATE:
            raise ValueError(
                f"{asked} can never be judged by an answer of one token; set max_tokens to {TOKENS_OF_A_RATE} or more, "
                f"or remove {asked}"
            )
        return self


class Entry(Block):
    """One deployment. Only ``model`` has no default."""

    model: Annotated[str, AfterValidator(checked(check_model))]
    revision: Annotated[str, AfterValidator(checked(check_revision))] = "main"
    """What is promoted when the run names no revision."""
    served_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./:-]{0,127}$")] | None = None
    """What clients write as ``model``. None: the model's id, as plain vLLM answers to."""
    replicas: Annotated[Count, Field(ge=1, le=64)] = 1
    device: Device | None = None
    """None: the machine's, or the cluster's."""
    gpus: Annotated[Count, Field(ge=1, le=16)] | None = None
    """A replica's, on cuda. None: one."""
    image: Annotated[str, AfterValidator(_pinned)] | None = None
    args: Args = ()
    pod: Pod = Pod()
    strategy: Strategy = "recreate"
    startup_budget_seconds: Positive | None = None
    smoke: SmokeTest = SmokeTest()
    allow_auto_map: tuple[Annotated[str, AfterValidator(checked(check_commit))], ...] = ()
    """Commits whose configuration may name remote code; it never runs, vLLM's own class is used."""
    accept_licenses: Licenses = ()
    """Beside the catalog's ``licenses``, for this model."""
    refresh: Refresh = "propose"
    """What the nightly refresh does when the branch has moved."""

    @model_validator(mode="after")
    def _no_gpus_on_the_cpu(self) -> "Entry":
        if self.device == "cpu" and self.gpus:
            raise ValueError("gpus cannot be used with device cpu; remove one of the two")
        return self


class Catalog(Block):
    """The whole file."""

    deployments: dict[Annotated[str, AfterValidator(checked(check_deployment))], Entry] = Field(default_factory=dict)
    licenses: Licenses | None = None

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """A key with nothing behind it, as when all entries are commented out, is a key left out."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    def entry(self, deployment: str) -> Entry:
        """Raises BadInput naming what there is."""
        if deployment not in self.deployments:
            known = ", ".join(sorted(self.deployments)) or "nothing"
            raise BadInput(f"the catalog has no deployment {deployment}; it has {known}")
        return self.deployments[deployment]


def parse(text: str, where: str) -> Catalog:
    """Raises BadInput naming ``where`` and the path, or the line, inside it."""
    value = load(text, where)
    try:
        return Catalog.model_validate({} if value is None else value)
    except ValidationError as err:
        raise BadInput(f"{where}: {explain(err, Catalog)}") from err


def select(catalog: Catalog, model: str, deployment: str | None) -> tuple[str, Entry]:
    """The deployment that a run means, with its entry. Raises BadInput: it means another model, or several fit."""
    if deployment is not None:
        entry = catalog.deployments.get(deployment)
        if entry and entry.model != model:
            raise BadInput(
                f"deployment {deployment} is for {entry.model} in the catalog, not {model}; "
                f"give another deployment, or change the catalog"
            )
        return deployment, entry or Entry(model=model)
    fitting = sorted(name for name, entry in catalog.deployments.items() if entry.model == model)
    if len(fitting) > 1:
        raise BadInput(f"the catalog has {model} in {' and '.join(fitting)}; say which with --deployment")
    return (fitting[0], catalog.deployments[fitting[0]]) if fitting else (default_deployment(model), Entry(model=model))


def release(entry: Entry, deployment: str, manifest: Manifest, default_device: Device, registry: str = "") -> Release:
    """These bytes, served as the entry says, by the image that really runs: ``registry``'s, where one is given."""
    device = entry.device or default_device
    return Release(
        deployment=deployment,
        model=manifest.model,
        commit=manifest.commit,
        manifest_sha256=manifest.sha256,
        total_bytes=manifest.total_bytes,
        serving=Serving(
            served_name=entry.served_name or entry.model,
            image=rewritten(entry.image or DEFAULT_IMAGES[device], registry),
            device=device,
            gpus=(entry.gpus or 1) if device == "cuda" else 0,
            args=entry.args,
            pod=canonical.dump(entry.pod.patch()).decode(),
        ),
        replicas=entry.replicas,
        strategy=entry.strategy,
        smoke=Smoke(**entry.smoke.model_dump()),
        startup_budget_seconds=entry.startup_budget_seconds,
    )
