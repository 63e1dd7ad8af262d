"""Inputs and outputs of the steps that a clock starts, in the manner of ``steps.contracts``.

Each night ``discover`` looks at the catalog's branches and ``refresh`` acts on what it found; every few minutes
``reconcile`` puts right what a dead run left. ``audit`` reads the models again: a person starts it, a clock may.
"""

from dataclasses import dataclass

from steps.step import Step


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


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditInputs:
    """``commits`` are those that a deployment serves or can go back to, written as ``core.audit.dump`` does.

    With ``everything`` all others too that lie there. Nothing is changed without ``repair``.
    """

    commits: str = ""
    everything: bool = True
    store: bool = True
    volume: bool = True
    repair: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditOutputs:
    """``differences`` as found: none of them is left."""

    differences: int
    summary: str


DISCOVER = Step(name="discover", inputs=DiscoverInputs, outputs=DiscoverOutputs, image="transfer")
REFRESH = Step(name="refresh", inputs=RefreshInputs, outputs=RefreshOutputs, image="cluster")
RECONCILE = Step(name="reconcile", inputs=ReconcileInputs, outputs=ReconcileOutputs, image="cluster")
AUDIT = Step(name="audit", inputs=AuditInputs, outputs=AuditOutputs, image="transfer")
