"""Every step's inputs and outputs, in the order the data flows. Read this page first.

A field is a scalar, because an Argo parameter is a string. What has structure (the release with its manifest, the
evidence of a test) travels through the store and is named here by its identity. An input with a default may be left
out; an output with a default stands for the step having been skipped.
"""

from dataclasses import Field, dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar


class Fields(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


I = TypeVar("I", bound=Fields)  # noqa: E741  # I and O are what inputs and outputs are called here
O = TypeVar("O", bound=Fields)  # noqa: E741


@dataclass(frozen=True, kw_only=True)
class Step(Generic[I, O]):
    """A step's name, the two dataclasses it maps between, and the image that holds what it needs."""

    name: str
    inputs: type[I]
    outputs: type[O]
    image: Literal["transfer", "cluster"]

    @property
    def module(self) -> str:
        """What ``python -m`` runs."""
        return f"steps.{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveInputs:
    model: str
    revision: str
    deployment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveOutputs:
    """``deployment`` and ``release_id`` name the release document in the store, which holds the manifest."""

    deployment: str
    release_id: str
    model: str
    commit: str
    manifest_sha256: str
    total_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightInputs:
    deployment: str
    release_id: str
    run: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightOutputs:
    """``state`` is ``live`` when this release serves already, else ``new``. ``previous_*`` name the rollback target."""

    state: str
    previous_model: str
    previous_commit: str
    previous_manifest_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorInputs:
    deployment: str
    release_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorOutputs:
    copied_bytes: int
    reused_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulateInputs:
    deployment: str
    release_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulateOutputs:
    copied_bytes: int
    reused_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksumInputs:
    """``previous_*`` are empty when there is no rollback target."""

    model: str
    commit: str
    manifest_sha256: str
    previous_model: str = ""
    previous_commit: str = ""
    previous_manifest_sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksumOutputs:
    checked_files: int
    checked_bytes: int


ANY = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployInputs:
    """``proved_commit`` is the one that ``checksum`` proved as rollback target, empty where nothing served.

    Room is made for nothing else; ``any`` where a person goes back by hand and takes what serves for bad.
    """

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployOutputs:
    startup_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeInputs:
    """``proved_commit`` as of deploy, whose work is begun anew here where a rollback has undone it."""

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeOutputs:
    """``proof`` names the pods that passed; promote tests again when others run by then."""

    proof: str = ""
    first_token_seconds: float = 0.0
    tokens_per_second: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteInputs:
    """``proved_commit`` as of smoke.

    With ``refuse_previous`` the release that served until now is not tried again by itself: a rollback by hand.
    """

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY
    proof: str = ""
    refuse_previous: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteOutputs:
    outage_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackInputs:
    deployment: str
    run: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackOutputs:
    """``outcome`` is ``nothing``, ``rolled-back``, ``removed`` (a first deployment) or ``completed``."""

    outcome: str
    outage_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportInputs:
    """``status`` and ``rollback_status`` are Argo's words for how the run and its rollback ended."""

    model: str
    revision: str
    deployment: str
    run: str
    owner: str
    status: str
    rollback_status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOutputs:
    outcome: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoverInputs:
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoverOutputs:
    """How many of the catalog's entries were looked at, and how many of them policy refuses as they are now.

    What was found is in the store, among the run's reports.
    """

    looked_at: int
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshInputs:
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshOutputs:
    """``summary`` is one line for people: what was promoted, what waits for them."""

    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileInputs:
    """``owner`` is the uid of the pod that does it; ``deployment`` is empty for all."""

    owner: str
    deployment: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileOutputs:
    summary: str


RESOLVE = Step(name="resolve", inputs=ResolveInputs, outputs=ResolveOutputs, image="transfer")
PREFLIGHT = Step(name="preflight", inputs=PreflightInputs, outputs=PreflightOutputs, image="cluster")
MIRROR = Step(name="mirror", inputs=MirrorInputs, outputs=MirrorOutputs, image="transfer")
POPULATE = Step(name="populate", inputs=PopulateInputs, outputs=PopulateOutputs, image="transfer")
CHECKSUM = Step(name="checksum", inputs=ChecksumInputs, outputs=ChecksumOutputs, image="transfer")
DEPLOY = Step(name="deploy", inputs=DeployInputs, outputs=DeployOutputs, image="cluster")
SMOKE = Step(name="smoke", inputs=SmokeInputs, outputs=SmokeOutputs, image="cluster")
PROMOTE = Step(name="promote", inputs=PromoteInputs, outputs=PromoteOutputs, image="cluster")
ROLLBACK = Step(name="rollback", inputs=RollbackInputs, outputs=RollbackOutputs, image="cluster")
REPORT = Step(name="report", inputs=ReportInputs, outputs=ReportOutputs, image="cluster")
DISCOVER = Step(name="discover", inputs=DiscoverInputs, outputs=DiscoverOutputs, image="transfer")
REFRESH = Step(name="refresh", inputs=RefreshInputs, outputs=RefreshOutputs, image="cluster")
RECONCILE = Step(name="reconcile", inputs=ReconcileInputs, outputs=ReconcileOutputs, image="cluster")

ALL: tuple[Step[Any, Any], ...] = (
    RESOLVE,
    PREFLIGHT,
    MIRROR,
    POPULATE,
    CHECKSUM,
    DEPLOY,
    SMOKE,
    PROMOTE,
    ROLLBACK,
    REPORT,
    DISCOVER,
    REFRESH,
    RECONCILE,
)
"""First those of a promotion, then those that a clock starts."""


def encode(value: object) -> str:
    """A field's value as the text that Argo carries; ``decode`` is its inverse."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def decode(kind: type, text: str) -> Any:
    """The text that Argo carries as a field's value.

    Raises ValueError for text that is no such value, TypeError for a kind that cannot travel as a parameter.
    """
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    if kind in (str, int, float):
        return kind(text)
    raise TypeError(f"{kind!r} cannot travel as an Argo parameter: put it into the store and pass its name")
