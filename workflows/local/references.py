"""Where a manifest may refer to something, and to what: anywhere else a reference would be taken for mere text.

Argo fills references in everywhere. Here they are filled in tasks' arguments and conditions, in the names of mutexes
and in the arguments of programs; what cannot be is refused before anything starts, and so is what the kubelet would
fill in.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from steps.errors import BadInput
from workflows import argument
from workflows.local import fields
from workflows.local.substitute import references

LATER = (
    "spec.templates[].dag.tasks[].arguments.parameters[].value",
    "spec.templates[].dag.tasks[].when",
    "spec.templates[].dag.tasks[].withParam",
)
"""What they stand for is known when the task's turn has come; a reference to nothing is an error of the task then."""
ARGUMENT = "spec.templates[].container.args[]"
MUTEX = "spec.synchronization.mutexes[].name"
BY_THE_KUBELET = (
    ARGUMENT,
    "spec.templates[].container.command[]",
    "spec.templates[].container.env[].value",
)
"""Where ``$(NAME)`` becomes the value of an environment variable in a cluster, and stays as it is here."""


def check(manifest: Mapping[str, Any]) -> None:
    """Raises BadInput naming the first reference that nothing would stand behind, and its place."""
    for path, reference in _dangling(manifest):
        raise BadInput(
            f"the local engine cannot fill in {reference} at {path}; pass it to the task as an argument of a declared "
            "input, or take it out of the template"
        )
    for path, text in fields.leaves(manifest):
        if path in BY_THE_KUBELET and "$(" in text:
            raise BadInput(f"the local engine does not fill in {text!r} at {path}, as the kubelet would; write $$(")


def _dangling(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec = manifest.get("spec", {})
    given = (spec.get("arguments") or {}).get("parameters") or ()
    run = {"workflow.name", "workflow.uid", *(f"workflow.parameters.{p['name']}" for p in given)}
    templates = spec.get("templates", ())
    shared = {**spec, "templates": [{k: v for k, v in t.items() if k != "container"} for t in templates]}
    yield from _unknown({**manifest, "spec": shared}, MUTEX, run)
    for template in templates:
        own = {"spec": {"templates": [{"container": template.get("container", {})}]}}
        yield from _unknown(own, ARGUMENT, {argument.expression(name) for name in _inputs(template)})


def _unknown(part: Mapping[str, Any], place: str, known: set[str]) -> Iterator[tuple[str, str]]:
    """References that are neither known where ``known`` counts, nor in a place where they are filled in later."""
    for path, text in fields.leaves(part):
        if not isinstance(text, str) or path in LATER or fields.meaningless(path):
            continue
        allowed = known if path == place else set()
        yield from ((path, _braced(r)) for r in references(text) if r not in allowed)


def _inputs(template: Mapping[str, Any]) -> Iterator[str]:
    yield from (p["name"] for p in (template.get("inputs") or {}).get("parameters") or ())


def _braced(reference: str) -> str:
    return reference if reference == "{{" else f"{{{{{reference}}}}}"
