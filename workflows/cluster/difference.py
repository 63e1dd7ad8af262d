"""How two states of an object differ, as people read it: in YAML, without what only the API server writes."""

import difflib
import itertools
from typing import Any

import yaml

from steps.clients.kube.api import Json

OF_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""Fields of ``metadata``."""
WIDTH, CONTEXT = 120, 2


class _Dumper(yaml.SafeDumper):
    """Texts of several lines line by line: a catalog in one long string could not be compared by eye."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(body: Json) -> str:
    """In the order of its keys."""
    return yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def difference(before: Json, after: Json) -> str:
    """A unified diff; empty where nothing differs that we, or another manager of a field, have written."""
    old, new = (to_yaml(_ordered(_written(body))).splitlines() for body in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=CONTEXT)
    return "\n".join(itertools.islice(lines, 2, None))  # without the names of two files, which these are not


def _written(body: Json) -> Json:
    metadata = {key: value for key, value in body["metadata"].items() if key not in OF_THE_SERVER}
    return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}


def _ordered(value: Any) -> Any:
    """The server keeps no order of keys."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value
