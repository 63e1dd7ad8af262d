"""YAML in, sentences out: what a person who mends a catalog needs to know."""

import datetime as dt
import difflib
from collections.abc import Callable, Hashable
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from steps.errors import BadInput

SHOWN = 5
"""Problems that one sentence lists."""


class Block(BaseModel):
    """A mapping of the file: nothing in it goes unread."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Loader(yaml.SafeLoader):
    """Refuses what YAML forbids and PyYAML lets pass: the same key twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {name} occurs twice", problem_mark=key.start_mark)
            if name is not None and name != "<<":
                seen.add(name)
        return super().construct_mapping(node, deep=deep)


def load(text: str, where: str) -> Any:
    """The value of a YAML document; None for an empty one. Raises BadInput naming ``where`` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadInput(f"{where}{place}: {err.problem or err.context}; mend the YAML there") from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise BadInput(f"{where} is not YAML: {str(err).splitlines()[0]}") from err


def checked(check: Callable[[str], str]) -> Callable[[str], str]:
    """One of our own checks as pydantic wants it."""

    def validate(text: str) -> str:
        try:
            return check(text)
        except BadInput as err:
            raise ValueError(str(err)) from err

    return validate


def explain(err: ValidationError, root: type[BaseModel]) -> str:
    """Every problem with its path in the file, in a sentence."""
    problems = [_problem(e, root) for e in err.errors(include_url=False)]
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more


def _problem(error: ErrorDetails, root: type[BaseModel]) -> str:
    path = [str(part) for part in error["loc"] if part != "[key]"]
    return f"{'.'.join(path) or 'the whole file'}: {_finding(error, path, root)}"


def _finding(error: ErrorDetails, path: list[str], root: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown(path[-1], _known(root, path[:-1]))
    if error["type"] == "string_type" and isinstance(error["input"], int | float | dt.date):
        return f"must be a string, and YAML reads {error['input']} here: put it in quotes"
    return _PLAIN.get(error["type"]) or _pydantic(error, path)


_PLAIN = {
    "missing": "must be given",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
}


def _pydantic(error: ErrorDetails, path: list[str]) -> str:
    what = error["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("String should", "must")
    if error["type"] == "value_error" or "pod" in path or isinstance(error["input"], dict | list):
        return what  # our own sentences name the value; a pod's could be a secret
    return f"{what}, not {str(error['input'])[:80]!r}"


def _unknown(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"is no key here; did you mean {close[0]}?" if close else f"is no key here; keys are {', '.join(known)}"


def _known(root: type[BaseModel], path: list[str]) -> list[str]:
    """The keys of the block at a path, found by following the types of the fields."""
    block = root
    for part in path:
        by_key = {f.alias or name: f.annotation for name, f in block.model_fields.items()}
        inner = _block_in(by_key.get(part))
        block = inner or block  # the name of a deployment, or an index: the block of its parent
    return sorted(f.alias or name for name, f in block.model_fields.items())


def _block_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _block_in(arg))), None)
