"""Whether the claim for what model servers compile lets all of them start; asked before room is made for them.

A pod whose claim cannot be mounted waits for ever: with `recreate` that is an outage for as long as a start may take.
"""

from steps.core.claim import ONE_NODE, ONE_POD, SHARED, Seen, is_leaving, is_pending, modes, reason, waits_for_a_pod

_REMEDY = f"name a claim that is {SHARED} in the catalog's pod.cacheClaim, or take that out"


def unfit(seen: Seen, at_once: int, *, together: bool) -> str:
    """The rest of a sentence that begins with the claim's name: what no waiting mends. Empty where it fits.

    ``at_once`` model servers run at the same time. ``together``: one node may hold all of them, or nobody knows.
    """
    found = modes(seen.claim)
    if SHARED in found:
        return ""
    if ONE_NODE in found:
        return "" if at_once == 1 or together else _too_far(at_once)
    if ONE_POD in found:
        return "" if at_once == 1 else f"is {ONE_POD}, and {at_once} model servers run at once; {_REMEDY}"
    return f"cannot be written to ({', '.join(found) or 'no access mode'}); {_REMEDY}"


def problem(seen: Seen) -> str:
    """The same, of a claim that no new pod could mount as it is now."""
    if is_leaving(seen.claim):
        return f"is being deleted, so no new pod can mount it; {_REMEDY}"
    if seen.claim.get("status", {}).get("phase") == "Lost":
        return f"has lost its volume; bring that back, or {_REMEDY}"
    if not is_pending(seen.claim) or waits_for_a_pod(seen):
        return ""
    return f"is Pending: {reason(seen)}; see that its StorageClass is there and makes such volumes, or {_REMEDY}"


def _too_far(at_once: int) -> str:
    return (
        f"is {ONE_NODE}, which is on one node at a time, and no node has room for {at_once} model servers, which run "
        f"at once; {_REMEDY}"
    )
