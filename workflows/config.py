"""What the commands are told about their surroundings: the environment over one TOML file, checked once.

A setting ``bucket`` is ``VLLM_PROMOTE_BUCKET`` in the environment and ``bucket`` in the file; what the field has names
for already keeps them: ``HF_ENDPOINT`` is ``hf_endpoint`` in the file. Secrets come from the environment alone. A few
settings are flags of one command too, and a flag wins.
"""

import difflib
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from steps.core.amounts import plain
from steps.core.catalog_text import checked
from steps.core.names import check_bucket, check_namespace, check_prefix
from steps.core.release import Device
from steps.errors import BadInput
from steps.settings import PREFIX, Checksums
from steps.step import encode
from workflows.address import Address
from workflows.checkout import CHECKOUT
from workflows.cluster_keys import ClusterKeys

FILE = PREFIX + "CONFIG"
"""Variable that names the TOML file."""
CATALOG_DIRECTORY = "/etc/vllm-promote"
MODELS_DIRECTORY = "/models"
"""In a pod."""
LOCAL_FILE = "settings.toml"
"""In the local directory: read by commands with ``--local`` where no other file is named."""
PASSED_ON = (
    *("bucket", "prefix", "s3_checksums", "one_pass", "shard_gib", "serve_command", "retry_base_seconds"),
    *("stall_seconds", "smoke_timeout_seconds", "startup_budget_seconds"),
)
"""Settings that reach the steps under their own names, where they are set."""

Seconds = Annotated[float, Field(ge=0, lt=1e9)]


def _also(*variables: str) -> Any:
    """A setting with names of its own in the environment; the last one is its key in the file."""
    return Field(None, validation_alias=AliasChoices(*variables))


class Config(ClusterKeys, BaseSettings):
    """One command's view; ``load`` finds the values. None stands for the steps' own default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    bucket: Annotated[str, AfterValidator(checked(check_bucket))] = "models"
    prefix: Annotated[str, AfterValidator(checked(check_prefix))] = ""
    s3_checksums: Checksums | None = None
    shard_gib: Annotated[float, Field(ge=1e-6, lt=1e9)] | None = None
    """A model larger than this is fetched by several pods, each so much, at most eight of them."""
    one_pass: bool | None = None
    """False where mirror's pods may not have the volume: populate then brings all of it from the store."""
    catalog: Path | None = None
    """None: ``catalog.yaml`` in the working directory, if there is one."""
    device: Device | None = None
    """Of releases whose catalog entry names none. None: what this machine has."""
    local_dir: Path = CHECKOUT / ".local"
    namespace: Annotated[str, AfterValidator(checked(check_namespace))] = "vllm-promote"
    """Of the cluster, where everything runs."""
    serve_command: str | None = None
    retry_base_seconds: Seconds | None = None
    stall_seconds: Seconds | None = None
    smoke_timeout_seconds: Seconds | None = None
    startup_budget_seconds: Seconds | None = None
    hf_endpoint: Address | None = _also("HF_ENDPOINT", "hf_endpoint")
    aws_endpoint_url: Address | None = _also("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "aws_endpoint_url")
    """None: in a cluster AWS itself, on one machine the embedded store."""
    aws_region: str | None = _also("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region")
    argo_ui_url: str | None = _also("ARGO_UI_URL", "argo_ui_url")
    """Where people open Argo's UI; commands print links to their runs."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is given, and nothing else: ``load`` reads the environment."""
        return (init_settings,)

    @property
    def home(self) -> Path:
        """Of the local engine, absolute."""
        return self.local_dir.absolute()

    @property
    def catalog_path(self) -> Path:
        """Absolute, because steps may run elsewhere."""
        return (self.catalog or Path("catalog.yaml")).absolute()

    def environment(self) -> dict[str, str]:
        """The settings as the steps read them, without where things are."""
        own = {PREFIX + name.upper(): getattr(self, name) for name in PASSED_ON}
        standard = {"HF_ENDPOINT": self.hf_endpoint, "AWS_ENDPOINT_URL": self.aws_endpoint_url}
        given: dict[str, Any] = {**own, **standard, **_region(self.aws_region)}
        return {
            name: plain(v) if isinstance(v, float) else encode(v) for name, v in given.items() if v not in (None, "")
        }

    def cluster_environment(self) -> dict[str, str]:
        """The same for pods: ConfigMap ``vllm-promote`` whole."""
        return {
            **self.environment(),
            PREFIX + "SERVING": f"kube://{self.namespace}",
            PREFIX + "VOLUME": MODELS_DIRECTORY,
            PREFIX + "CATALOG": f"{CATALOG_DIRECTORY}/catalog.yaml",
            PREFIX + "DEVICE": self.device or "cuda",
            PREFIX + "CLAIM": self.claim,
            **({PREFIX + "REGISTRY": self.registry} if self.registry else {}),
            **self.trust(),
            **self.proxies(),
        }

    def local_environment(self) -> dict[str, str]:
        """The same for steps that run on this machine."""
        return {
            **(_region("us-east-1") if self.aws_endpoint_url is None else {}),  # the embedded store has to have some
            **self.environment(),
            PREFIX + "SERVING": f"local://{self.home}",
            PREFIX + "VOLUME": str(self.home / "volume"),
            PREFIX + "CATALOG": str(self.catalog_path),
            PREFIX + "DEVICE": self.device or ("cuda" if gpu_visible(Path("/dev"), os.environ) else "cpu"),
        }


def load(*, local: bool, flags: Mapping[str, object] | None = None) -> Config:
    """``flags`` are settings by their names; one of None was not given.

    Raises BadInput naming the flag, the variable, or the file and the key, that cannot be used.
    """
    path = _file(local=local)
    typed = {name: value for name, value in (flags or {}).items() if value is not None}
    values = {**(_read(path) if path else {}), **_environment(), **typed}
    try:
        return Config(**values)
    except ValidationError as err:
        raise BadInput("; ".join(_problem(e, path, typed) for e in err.errors(include_url=False))) from err


def _region(name: str | None) -> dict[str, str]:
    """boto3 heeds the second name alone; what is not said here it finds in the user's own profile, or the pod's."""
    return dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), name) if name else {}


def gpu_visible(devices: Path, environ: Mapping[str, str]) -> bool:
    """Whether a CUDA device is here and not hidden; ``dxg`` is what it is called under WSL."""
    if environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()


def _file(*, local: bool) -> Path | None:
    if named := os.environ.get(FILE):
        return Path(named)
    home = Path(os.environ.get(PREFIX + "LOCAL_DIR") or Config.model_fields["local_dir"].default)
    return home / LOCAL_FILE if local and (home / LOCAL_FILE).exists() else None


def _environment() -> dict[str, Any]:
    """Under the names of the file: else two names of one setting would compete."""
    aliases = {name: field.validation_alias for name, field in Config.model_fields.items()}
    names = {a.choices[0]: name for name, a in aliases.items() if isinstance(a, AliasChoices)}
    return {names.get(key, key): value for key, value in EnvSettingsSource(Config)().items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as f:
            return tomllib.load(f)
    except OSError as err:
        raise BadInput(f"{path} cannot be read ({err.strerror}); mend {FILE}") from err
    except tomllib.TOMLDecodeError as err:
        raise BadInput(f"{path} is not TOML: {err}") from err


def _problem(error: ErrorDetails, path: Path | None, typed: Collection[str]) -> str:
    said = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # of several settings together
        return said
    key = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, Config.model_fields, n=1)
        return f"{path}: {key} is no setting; {f'did you mean {close[0]}?' if close else 'remove it'}"
    value = str(error["input"])
    shown = "an address with a login in it" if "@" in value else repr(value[:80])
    return f"{_given_by(key, path, typed)} is {shown}: {said}"


def _given_by(key: str, path: Path | None, typed: Collection[str]) -> str:
    if key in typed:
        return "--" + key.replace("_", "-")
    return next((name for name in _variables(key) if os.environ.get(name)), f"{key} in {path}")


def _variables(key: str) -> list[str]:
    """Of a setting, the one that counts first."""
    field = Config.model_fields.get(key)
    if field and isinstance(field.validation_alias, AliasChoices):
        return [str(name) for name in field.validation_alias.choices[:-1]]
    return [key if key.isupper() else PREFIX + key.upper()]
