"""Where things are and how long to wait, read from the environment once, at the boundary of the process.

The prefix is ``VLLM_PROMOTE_``. Variables that the field knows already (``AWS_*``, ``HF_TOKEN``, ``HF_ENDPOINT``,
proxies, CA bundles) keep their names; secrets among them are read by the client that needs them and never held here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from steps.core.images import check_registry
from steps.core.names import check_bucket, check_namespace, check_prefix
from steps.core.release import Device
from steps.errors import BadInput

PREFIX = "VLLM_PROMOTE_"
RETRY_BASE_SECONDS = 2.0
Checksums = Literal["when_supported", "when_required"]

_HUB = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~/-]*)?")
_SERVING = re.compile(r"(kube|local)://(.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One process's view of its surroundings."""

    bucket: str
    prefix: str
    """Leading part of every S3 key, without slashes at its ends; empty by default."""
    s3_checksums: Checksums
    """``when_required`` for stores that refuse boto3's checksum headers."""
    volume: Path
    shard_gib: float
    """A model larger than this is fetched by several pods."""
    one_pass: bool
    """Whether mirror has the volume too, and fills it as it fills the store."""
    catalog: Path
    serving: str
    """``kube://NAMESPACE`` or ``local://DIRECTORY``."""
    registry: str
    """Where every image comes from, as ``core.images`` rewrites them; empty: each from where its reference says."""
    claim: str
    """In a cluster: the PersistentVolumeClaim that is mounted at ``volume``."""
    image: str
    """In a cluster: this step's own, for a pod that reads files ahead; empty where that is not known."""
    device: Device
    """The device of a release whose catalog entry names none."""
    serve_command: str | None
    """Local only: what starts a model server instead of vLLM, split as a shell would."""
    hub_endpoint: str
    retry_base_seconds: float
    stall_seconds: float
    """No bytes for this long ends an attempt."""
    smoke_timeout_seconds: float
    """For one request to the candidate."""
    startup_budget_seconds: float | None
    """From making room to ready; None: computed from the bytes, see ``core.budget``."""
    output_dir: Path
    termination_log: Path
    progress_file: Path | None

    @property
    def local_dir(self) -> Path | None:
        """The directory of the local engine, None in a cluster."""
        match = _SERVING.fullmatch(self.serving)
        return Path(match[2]) if match and match[1] == "local" else None

    @property
    def cluster_namespace(self) -> str:
        """As ``kube_namespace``, for what only a cluster has. Raises BadInput."""
        if self.kube_namespace is None:
            raise BadInput(f"{self.serving} is no cluster; set {PREFIX}SERVING=kube://NAMESPACE")
        return self.kube_namespace

    @property
    def kube_namespace(self) -> str | None:
        """Where everything is in a cluster, None on one machine."""
        match = _SERVING.fullmatch(self.serving)
        return match[2] if match and match[1] == "kube" else None


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Raises BadInput naming the variable that cannot work."""
    read = _Reader(environ)
    return Settings(
        bucket=check_bucket(read.text("BUCKET", "models")),
        prefix=check_prefix(read.text("PREFIX", "")),
        s3_checksums=cast("Checksums", read.one_of("S3_CHECKSUMS", get_args(Checksums), "when_supported")),
        volume=Path(read.text("VOLUME", "/models")),
        shard_gib=read.number("SHARD_GIB", 200.0, "of GiB", least=1e-6),
        one_pass=read.one_of("ONE_PASS", ("true", "false"), "true") == "true",
        catalog=Path(read.text("CATALOG", "catalog.yaml")),
        serving=_serving(read.matching("SERVING", _SERVING, "kube://default")),
        registry=check_registry(read.text("REGISTRY", "")),
        claim=read.text("CLAIM", "models"),
        image=read.text("IMAGE", ""),
        device=cast("Device", read.one_of("DEVICE", get_args(Device), "cuda")),
        serve_command=read.text("SERVE_COMMAND", "") or None,
        hub_endpoint=_hub_endpoint(environ.get("HF_ENDPOINT") or "https://huggingface.co"),
        retry_base_seconds=read.seconds("RETRY_BASE_SECONDS", RETRY_BASE_SECONDS, least=0.0),
        stall_seconds=read.seconds("STALL_SECONDS", 60.0),
        smoke_timeout_seconds=read.seconds("SMOKE_TIMEOUT_SECONDS", 120.0),
        startup_budget_seconds=read.seconds("STARTUP_BUDGET_SECONDS", 0.0, least=0.0) or None,
        output_dir=output_dir(environ),
        termination_log=Path(read.text("TERMINATION_LOG", "/dev/termination-log")),
        progress_file=Path(p) if (p := environ.get("ARGO_PROGRESS_FILE")) else None,
    )


def output_dir(environ: Mapping[str, str]) -> Path:
    """Known even where other settings cannot work."""
    return Path(_Reader(environ).text("OUTPUT_DIR", "/tmp/outputs"))  # noqa: S108  # fixed: Argo's templates name it


@dataclass(frozen=True)
class _Reader:
    environ: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environ.get(PREFIX + name) or default

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise BadInput(f"{PREFIX}{name} is {value!r}; set it to one of {', '.join(allowed)}")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], default: str) -> str:
        value = self.text(name, default)
        if not pattern.fullmatch(value):
            raise BadInput(f"{PREFIX}{name} is {value!r}; it must look like {pattern.pattern}")
        return value

    def seconds(self, name: str, default: float, least: float = 0.01) -> float:
        return self.number(name, default, "of seconds", least)

    def number(self, name: str, default: float, what: str, least: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not least <= number < 1e9:
            raise BadInput(f"{PREFIX}{name} is {value!r}; set it to a number {what}, {least:g} or more")
        return number


def _serving(text: str) -> str:
    if text.startswith("kube://"):
        try:
            check_namespace(text.removeprefix("kube://"))
        except BadInput as err:
            raise BadInput(f"{PREFIX}SERVING: {err}") from err
    return text


def _hub_endpoint(text: str) -> str:
    if not _HUB.fullmatch(text):  # which is not repeated: it may hold a password
        raise BadInput("HF_ENDPOINT is no address of a Hub; set it to one like https://huggingface.co")
    return text.rstrip("/")
