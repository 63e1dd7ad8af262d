"""References in a manifest, filled in once: what a value holds is never looked at again.

Argo expands values a second time, so that a parameter ``{{workflow.uid}}`` becomes the uid. Here it stays as it is.
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")

Scope = Mapping[str, str | None]
"""Value by reference. None: the output of a task that did not run, and that has no default."""


def references(text: str) -> tuple[str, ...]:
    """What the text refers to, in order; of what is no proper reference, the braces."""
    left = _REFERENCE.sub("", text)
    return (*_REFERENCE.findall(text), *(["{{"] if "{{" in left else []))


class Unresolved(LookupError):
    """A reference that nothing stands behind; its text is a sentence."""


def fill(text: str, scope: Scope) -> str:
    """The text with each reference replaced. Raises Unresolved."""
    return _REFERENCE.sub(lambda match: _value(match[1], scope), text)


def arguments(given: Mapping[str, str], inputs: Mapping[str, str | None], scope: Scope) -> dict[str, str]:
    """What a task calls its template with: ``inputs`` holds the template's defaults. Raises Unresolved."""
    values = dict(inputs)
    for name, text in given.items():
        match = _REFERENCE.fullmatch(text)
        if match and match[1] in scope and scope[match[1]] is None:
            continue  # as if it was not given: the template's own default counts
        values[name] = fill(text, scope)
    if missing := [name for name, value in values.items() if value is None]:
        raise Unresolved(f"input {missing[0]} has neither a value nor a default")
    return {name: value for name, value in values.items() if value is not None}


def _value(reference: str, scope: Scope) -> str:
    value = scope.get(reference)
    if value is None:
        raise Unresolved(f"{{{{{reference}}}}} stands for nothing here")
    return value
