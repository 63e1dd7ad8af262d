"""What a command on this machine works with: settings, the services it needs, and what the steps are given."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steps.clients.local.addresses import HOST
from steps.settings import Settings, from_environment
from workflows.config import Config

if TYPE_CHECKING:
    from workflows.local.environment import Sources

S3_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
)
HUB_VARIABLES = ("HF_TOKEN",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """``settings`` are those of the command's own clients; ``given`` are the same for steps, as their environment."""

    home: Path
    settings: Settings
    given: Mapping[str, str]
    s3: Mapping[str, str]
    """How to get into the store: kept out of sight of steps that do not need it."""
    hub: Mapping[str, str]


def settings(config: Config) -> Settings:
    """For a command that asks no service. Raises BadInput."""
    return from_environment(config.local_environment())


def begin(config: Config, environ: Mapping[str, str]) -> Session:
    """With the services running that are ours: the store unless another one is named, and a Hub that was started here.

    Raises Transient, Failed, BadInput.
    """
    (config.home / "volume").mkdir(parents=True, exist_ok=True)
    _wake_hub(config)
    given, s3 = config.local_environment(), _picked(environ, S3_VARIABLES)
    if config.aws_endpoint_url is None:
        from workflows.local import seaweed

        store = seaweed.start(config.home, config.bucket)
        given["AWS_ENDPOINT_URL"] = store.endpoint
        s3 = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    return Session(
        home=config.home, settings=from_environment(given), given=given, s3=s3, hub=_picked(environ, HUB_VARIABLES)
    )


def sources(session: Session, environ: Mapping[str, str]) -> "Sources":
    """The ConfigMap and the Secrets that the templates name."""
    from workflows import pods  # brings Hera, which takes a second to import
    from workflows.local.environment import Sources

    secrets = {pods.S3_SECRET: session.s3, pods.HUB_SECRET: session.hub}
    return Sources(config_maps={pods.SETTINGS: session.given}, secrets=secrets, environ=environ)


def become(session: Session) -> None:
    """Let this process's own clients find Hub and store as a step's do: by the variables that the field knows."""
    from workflows.local.environment import direct

    for name in S3_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(session.s3)
    os.environ.update({k: v for k, v in session.given.items() if k.startswith(("AWS_", "HF_"))})
    os.environ.update(direct(os.environ))


def _wake_hub(config: Config) -> None:
    """Where the Hub in use is one of our own that was stopped since, start it again: it comes back on its port."""
    told = config.home / "services" / "hub.json"
    if config.hf_endpoint is None or not told.exists():
        return
    from workflows.local import hub

    last = json.loads(told.read_text(encoding="utf-8"))
    if config.hf_endpoint.rstrip("/") == f"http://{HOST}:{last['port']}":
        hub.start(config.home, Path(last["root"]))


def _picked(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: environ[name] for name in names if environ.get(name)}
