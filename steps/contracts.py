"""Every step's inputs and outputs, in the order the data flows. Read this page first.

A field is a scalar, because an Argo parameter is a string. What has structure (the release with its manifest, the
evidence of a test) travels through the store and is named here by its identity. An input with a default may be left
out; an output with a default stands for the step having been skipped.

These are a promotion's steps; those that a clock starts are in ``steps.scheduled``.
"""

from dataclasses import dataclass
from typing import Any

from steps.core.shards import ALONE
from steps.scheduled import AUDIT, DISCOVER, RECONCILE, REFRESH
from steps.step import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveInputs:
    model: str
    revision: str
    deployment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolveOutputs:
    """``deployment`` and ``release_id`` name the release document in the store, which holds the manifest.

    ``shards`` is a JSON list: what each pod of mirror is called, one for all but very large models.
    ``committed`` is when the Hub got the commit, in seconds since the epoch; 0 where that is not known.
    """

    deployment: str
    release_id: str
    model: str
    commit: str
    manifest_sha256: str
    total_bytes: int
    shards: str
    committed: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightInputs:
    deployment: str
    release_id: str
    run: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightOutputs:
    """``state`` is ``live`` when this release serves already, else ``new``. ``previous_*`` name the rollback target.

    ``noticed`` is what a person should know of what serves: what others have changed of it, what becomes of that.
    """

    state: str
    previous_model: str
    previous_commit: str
    previous_manifest_sha256: str
    noticed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorInputs:
    """``shard`` says which of the files are this pod's: ``2-of-3`` is the second of three shares."""

    deployment: str
    release_id: str
    shard: str = ALONE


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorOutputs:
    """``volume_bytes`` of what was copied went to the volume in the same pass, so that populate need not bring it."""

    copied_bytes: int
    reused_bytes: int
    volume_bytes: int


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

    Room is made for nothing else; ``any`` where a person goes back by hand and takes what serves for bad: ``served``,
    the release id that was live when that was asked for, empty where nobody says. Another one is not touched.
    """

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY
    served: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployOutputs:
    startup_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeInputs:
    """``proved_commit`` and ``served`` as of deploy, whose work is begun anew here where a rollback undid it."""

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY
    served: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeOutputs:
    """``proof`` names the pods that passed; promote tests again when others run by then."""

    proof: str = ""
    first_token_seconds: float = 0.0
    tokens_per_second: float = 0.0
    noticed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteInputs:
    """``proved_commit`` and ``served`` as of smoke.

    With ``refuse_previous`` the release that served until now is not tried again by itself: a rollback by hand.
    """

    deployment: str
    release_id: str
    run: str
    owner: str
    proved_commit: str = ANY
    proof: str = ""
    refuse_previous: bool = False
    served: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteOutputs:
    outage_seconds: float | None
    """None, which travels as nothing, where it cannot be told: an earlier attempt has done the work."""
    noticed: str = ""


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
    noticed: str = ""


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
    AUDIT,
)
"""First those of a promotion, then those that a clock starts."""
