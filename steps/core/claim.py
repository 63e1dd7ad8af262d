"""Whether the claim of the models can do what the pipeline asks: be written and read by many pods, on many nodes.

``install``, the checks before a run is submitted, ``promote --dry-run`` and preflight all ask this one rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SHARED, ONE_NODE, ONE_POD = "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
WAITS = ("WaitForFirstConsumer", "WaitForPodScheduled")
"""Reasons of the events that say: its class makes the volume where the first pod goes, and that has no node yet."""
NO_VOLUME = "FailedBinding"
"""Reason of the event, no warning, that says: it has no class, and no volume that is there fits it."""
HOST = "kubernetes.io/hostname"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A claim with what explains it; what one has no right to see is left out."""

    claim: Json
    volume: Json | None = None
    events: Sequence[Json] = ()
    nodes: Sequence[Json] = ()


def problem(seen: Seen) -> str:
    """The rest of a sentence that begins with the claim's name; empty where it can be used."""
    if is_leaving(seen.claim):
        return "is being deleted, and is kept only while pods use it; save the models, or install again when it is gone"
    if _phase(seen.claim) == "Lost":
        return "has lost its volume; bring the PersistentVolume back, or delete the claim and install again"
    return unfit(seen) or (_pending(seen) if is_pending(seen.claim) else "")


def unfit(seen: Seen) -> str:
    """The same, of what no waiting mends: how it may be mounted."""
    found = modes(seen.claim)
    remedy = f"use one that is {SHARED}: nfs = SERVER:/PATH, or a storage_class that makes such volumes"
    if SHARED in found:
        return ""
    if ONE_NODE in found:
        usable = [node for node in seen.nodes if _takes_pods(node)]
        if len(usable) <= 1 or _tied_to_one_node(seen.volume):
            return ""
        return (
            f"is {ONE_NODE}, which is on one node at a time, and pods may go to {len(usable)} nodes here: a pod "
            f"on one would wait for ever while pods on another hold it; {remedy}, or a volume that is tied to one node"
        )
    if ONE_POD in found:
        return f"is {ONE_POD}, and the steps and the model servers share it; {remedy}"
    return f"cannot be written to ({', '.join(found) or 'no access mode'}); {remedy}"


def binds(seen: Seen) -> bool:
    """Whether it may be bound in a moment: nothing is known that keeps it from that, and no pod has to come first."""
    return (
        is_pending(seen.claim)
        and not is_leaving(seen.claim)
        and {SHARED, ONE_NODE}.intersection(modes(seen.claim)) != set()
        and not _is_released(seen.volume)
        and not waits_for_a_pod(seen)
        and not any(event.get("type") == "Warning" or event.get("reason") == NO_VOLUME for event in seen.events)
    )


def deleted_with_it(volume: Json | None) -> bool:
    """Whether the models would go with the claim."""
    return volume is not None and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"


def is_leaving(claim: Json) -> bool:
    """It is kept only while pods use it."""
    return "deletionTimestamp" in claim["metadata"]


def is_pending(claim: Json) -> bool:
    return _phase(claim) == "Pending"


def modes(claim: Json) -> Sequence[str]:
    """How its volume may be mounted; until there is one, how that is asked for."""
    found: Sequence[str] = claim.get("status", {}).get("accessModes") or claim["spec"].get("accessModes", [])
    return found


def waits_for_a_pod(seen: Seen) -> bool:
    """Pending is as it should be: it is bound with the first pod that mounts it."""
    return any(event.get("reason") in WAITS for event in seen.events)


def reason(seen: Seen) -> str:
    """What was told last of a claim that is not bound, shortened."""
    told = [event for event in seen.events if event.get("message")]
    return " ".join(max(told, key=_when)["message"].split())[:300] if told else "nothing says why"


def _pending(seen: Seen) -> str:
    if seen.volume and _is_released(seen.volume):
        volume = seen.volume["metadata"]["name"]
        free = '[{"op":"remove","path":"/spec/claimRef/uid"}]'
        return (
            f"is Pending: volume {volume} still belongs to a claim that was deleted; the models are on it; to bind it "
            f"again: kubectl patch pv {volume} --type json -p '{free}'"
        )
    if waits_for_a_pod(seen):
        return ""  # bound with the first step's pod
    return (
        f"is Pending: {reason(seen)}; see that its volume, or its StorageClass "
        f"{seen.claim['spec'].get('storageClassName') or '(none)'}, is there and makes {SHARED} volumes"
    )


def _phase(claim: Json) -> str:
    return str(claim.get("status", {}).get("phase", "Pending"))


def _is_released(volume: Json | None) -> bool:
    """It keeps what a claim that was deleted has left on it."""
    return volume is not None and volume.get("status", {}).get("phase") == "Released"


def _when(event: Json) -> Any:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


def _takes_pods(node: Json) -> bool:
    """Tolerations may let a pod onto any other node."""
    spec = node["spec"]
    return not spec.get("unschedulable") and all(taint["key"] != CONTROL_PLANE for taint in spec.get("taints", ()))


def _tied_to_one_node(volume: Json | None) -> bool:
    """Its pods follow it there."""
    required = (volume or {}).get("spec", {}).get("nodeAffinity", {}).get("required", {})
    terms = required.get("nodeSelectorTerms", [])
    hosts = [e for term in terms for e in term.get("matchExpressions", ()) if e["key"] == HOST]
    return len(terms) == 1 and any(e["operator"] == "In" and len(e["values"]) == 1 for e in hosts)
