import copy
from typing import Any

import pytest

from steps.errors import BadInput
from tests.stubs.rendered import BUILDERS, manifest
from workflows.local import fields


def known(path: str) -> int:
    """In how many entries of the lists a path is."""
    return sum(fields.matches(pattern, path) for pattern in (*fields.IMPLEMENTED, *fields.MEANINGLESS))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_field_of_our_manifests_is_in_exactly_one_list(name):
    assert {path: known(path) for path in fields.paths(manifest(name)) if known(path) != 1} == {}


def test_no_list_names_what_our_manifests_never_had_without_need():
    used = {path for name in BUILDERS for path in fields.paths(manifest(name))}
    spare = {p for p in (*fields.IMPLEMENTED, *fields.MEANINGLESS) if not any(fields.matches(p, u) for u in used)}

    assert spare == {
        "metadata.namespace",
        "spec.arguments.parameters[].enum[]",  # the catalog's deployments
        "spec.templates[].retryStrategy.backoff.maxDuration",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.parallelism", 1),
        ("spec.templates[].timeout", "10s"),
        ("spec.templates[].retryStrategy.retryPolicy", "OnFailure"),
        ("spec.templates[].container.lifecycle.preStop.sleep.seconds", 1),
        ("spec.templates[].outputs.artifacts[].name", [{"name": "report"}]),
        ("spec.activeDeadlineSeconds", None),
    ],
)
def test_a_field_that_nobody_thought_of_is_refused_by_its_name(path, value):
    changed = copy.deepcopy(dict(manifest("vllm-promote")))
    put(changed, path, value)

    with pytest.raises(BadInput, match=path.replace("[]", r"\[\]")):
        fields.check(changed)


def put(changed: Any, path: str, value: Any) -> None:
    *way, last = path.removesuffix("[].name").split(".")
    for part in way:
        changed = changed[part[:-2]][-1] if part.endswith("[]") else changed.setdefault(part, {})
    changed[last] = value
