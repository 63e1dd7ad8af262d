"""May a model under this licence be promoted? Its card, README.md at the commit, says which licence it has."""

import re
from collections.abc import Collection

import yaml

from steps.errors import Refused

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
HEAD_LIMIT = 2**20
"""Bytes of a card in which its front matter must end: the longest seen, full of benchmarks, take half of that."""


def declared(card: bytes) -> frozenset[str]:
    """Licence tags in the card's front matter, lower case: ``license`` and, beside ``other``, ``license_name``.

    Empty when the card says nothing that can be read.
    """
    match = _FRONT_MATTER.match(card[:HEAD_LIMIT].decode(errors="replace"))
    try:
        head = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return frozenset()
    if not isinstance(head, dict):
        return frozenset()
    values = [head.get("license"), head.get("license_name")]
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    return frozenset(v.lower() for v in flat if isinstance(v, str))


def check(licences: frozenset[str], accepted: Collection[str], what: str) -> None:
    """Raises Refused unless one of the licences is accepted."""
    if licences.isdisjoint(accepted):
        has = " or ".join(sorted(licences)) or "no licence that its card names"
        raise Refused(
            f"{what} has {has}, and the catalog accepts {', '.join(sorted(accepted)) or 'none'}; "
            "add it to the catalog's licenses, or to the entry's accept_licenses"
        )
