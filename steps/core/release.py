"""A release: these bytes, served this way. What serves is always a release, and a release never changes."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from steps.core import canonical
from steps.core import manifest as manifests
from steps.core.manifest import Manifest
from steps.core.names import check_commit, check_deployment, check_model
from steps.errors import BadInput, Corrupt

Device = Literal["cuda", "cpu"]
Strategy = Literal["recreate", "blue-green"]
ID_LENGTH = 12
_ANEW = "promote its model again, which writes it anew"
_LATER = frozenset({"max_first_token_of_live", "min_tokens_per_second_of_live", "max_logprob_change"})
"""Fields of ``Smoke`` that documents of earlier versions do not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """Everything that changes what the model server does; hashed into the release's id."""

    served_name: str
    image: str
    device: str
    """``cuda`` or ``cpu``."""
    gpus: int
    """A replica's, 0 for the CPU."""
    args: tuple[str, ...]
    """The model server's, after ours."""
    pod: str
    """Canonical JSON of the catalog's pod patch, ``{}`` for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoke:
    """What a candidate must do before clients reach it. A gate of None is not checked."""

    prompt: str = "What is the capital of France?"
    expect: str = "Paris"
    """Must occur in the answer, letter case aside."""
    max_tokens: int = 64
    max_first_token_seconds: float | None = None
    min_tokens_per_second: float | None = None
    max_first_token_of_live: float | None = None
    """Times what was measured last of the release that serves."""
    min_tokens_per_second_of_live: float | None = None
    max_logprob_change: float | None = 0.5
    """Since this release passed for the first time, in nats; see ``core.fingerprint``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What it is, which its id is made of; the fields with a default are how it is brought in, and since when it is."""

    deployment: str
    model: str
    commit: str
    manifest_sha256: str
    total_bytes: int
    serving: Serving
    replicas: int = 1
    strategy: Strategy = "recreate"
    smoke: Smoke = Smoke()
    startup_budget_seconds: float | None = None
    """From the catalog; None: computed from the bytes."""
    committed: float | None = None
    """When the Hub got this commit, in seconds since the epoch; None where it did not tell."""

    @property
    def release_id(self) -> str:
        """Same bytes and serving, same id."""
        identity = {"manifest": self.manifest_sha256, "serving": _serving_json(self.serving)}
        return canonical.digest(identity)[:ID_LENGTH]

    def to_json(self) -> dict[str, Any]:
        return {
            "release_id": self.release_id,
            "deployment": self.deployment,
            "model": self.model,
            "commit": self.commit,
            "manifest_sha256": self.manifest_sha256,
            "total_bytes": self.total_bytes,
            "serving": _serving_json(self.serving),
            "replicas": self.replicas,
            "strategy": self.strategy,
            "smoke": {name: getattr(self.smoke, name) for name in Smoke.__dataclass_fields__},
            "startup_budget_seconds": self.startup_budget_seconds,
            "committed": self.committed,
        }


def is_older(one: Release, other: Release) -> bool:
    """Whether it is of an earlier commit of the same model, as far as both are known."""
    if one.model != other.model or one.committed is None or other.committed is None:
        return False
    return one.committed < other.committed


@dataclass(frozen=True, slots=True)
class Document:
    """What the store holds of a release: with its files."""

    release: Release
    manifest: Manifest

    def dump(self) -> bytes:
        return canonical.dump({"release": self.release.to_json(), "manifest": self.manifest.to_json()})


def parse_document(body: bytes, where: str) -> Document:
    """Raises Corrupt, naming ``where``, when the parts do not prove each other."""
    try:
        value = json.loads(body)
        release, manifest = from_json(value["release"]), manifests.from_json(value["manifest"])
    except (ValueError, KeyError, TypeError, BadInput) as err:
        raise Corrupt(f"{where} is not a release: {err}; {_ANEW}") from err
    promised = (release.manifest_sha256, release.model, release.commit, release.total_bytes)
    if promised != (manifest.sha256, manifest.model, manifest.commit, manifest.total_bytes):
        raise Corrupt(f"{where} holds a manifest that is not its release's; {_ANEW}")
    return Document(release=release, manifest=manifest)


def from_json(value: Any) -> Release:
    """Raises ValueError, KeyError, TypeError or BadInput for what is no release, or one whose id is not its own."""
    serving = value["serving"]
    release = Release(
        deployment=check_deployment(value["deployment"]),
        model=check_model(value["model"]),
        commit=check_commit(value["commit"]),
        manifest_sha256=value["manifest_sha256"],
        total_bytes=value["total_bytes"],
        serving=Serving(**{**serving, "args": tuple(serving["args"])}),
        replicas=value["replicas"],
        strategy=value["strategy"],
        smoke=_smoke(value["smoke"]),
        startup_budget_seconds=value["startup_budget_seconds"],
        committed=value.get("committed"),  # documents of earlier versions do not have it
    )
    if release.release_id != value["release_id"]:
        raise ValueError(f"it calls itself {value['release_id']}, its content is {release.release_id}")
    return release


def _smoke(value: Any) -> Smoke:
    """What a later program adds is passed over, and what an earlier one did not know is left at its default: how a
    release is tested does not make it another one.
    """
    return Smoke(**{name: value[name] for name in Smoke.__dataclass_fields__ if name in value or name not in _LATER})


def _serving_json(serving: Serving) -> dict[str, Any]:
    return {
        "served_name": serving.served_name,
        "image": serving.image,
        "device": serving.device,
        "gpus": serving.gpus,
        "args": list(serving.args),
        "pod": serving.pod,
    }
