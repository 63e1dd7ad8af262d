"""Whether a pod could ever run in a cluster: what its nodes have.

What other pods hold at the moment does not count: they may be gone by then.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)(n|u|m|k|[KMGTPE]i?)?")
_FACTORS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3} | {
    unit + suffix: base**power
    for power, unit in enumerate("KMGTPE", start=1)
    for suffix, base in (("", 1000.0), ("i", 1024.0))
}


def quantity(text: str) -> float | None:
    """Kubernetes' ``500m``, ``16Gi``, ``4``, in units or bytes; None for what is none that we can read."""
    match = _QUANTITY.fullmatch(text)
    return float(match[1]) * _FACTORS[match[2] or ""] if match else None


def lack(nodes: Iterable[Json], requests: Mapping[str, str], node_selector: Mapping[str, str]) -> str | None:
    """Why no node could ever take a pod that asks for this, None where one could."""
    usable = _usable(nodes, node_selector)
    if not usable:
        return f"no node that takes pods has {_listed(node_selector)}" if node_selector else "no node takes pods"
    if any(not _short(node, requests) for node in usable):
        return None
    best = max(usable, key=lambda node: sum(quantity(_allocatable(node, r)) or 0.0 for r in _short(node, requests)))
    return "; ".join(
        f"a replica asks for {requests[r]} {r} and the best node, {best['metadata']['name']}, has "
        f"{_allocatable(best, r)} in all"
        for r in _short(best, requests)
    )


def holds(nodes: Iterable[Json], requests: Mapping[str, str], node_selector: Mapping[str, str], count: int) -> bool:
    """Whether one node could have so many of these pods at the same time."""
    return any(not _short(node, requests, count) for node in _usable(nodes, node_selector))


def _usable(nodes: Iterable[Json], node_selector: Mapping[str, str]) -> list[Json]:
    return [n for n in nodes if not n["spec"].get("unschedulable") and _matches(n, node_selector)]


def _short(node: Json, requests: Mapping[str, str], count: int = 1) -> list[str]:
    return [r for r, amount in requests.items() if _is_less(quantity(_allocatable(node, r)), quantity(amount), count)]


def _is_less(has: float | None, wants: float | None, count: int) -> bool:
    """An amount that nobody can read is no reason to refuse a release: the scheduler may know it."""
    return has is not None and wants is not None and has < wants * count


def _allocatable(node: Json, resource: str) -> str:
    return str(node.get("status", {}).get("allocatable", {}).get(resource, "0"))


def _matches(node: Json, selector: Mapping[str, str]) -> bool:
    found = node["metadata"].get("labels", {})
    return all(found.get(key) == value for key, value in selector.items())


def _listed(selector: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in selector.items())
