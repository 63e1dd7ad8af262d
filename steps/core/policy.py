"""May this model be promoted? Judged by the few files whose content matters, each looked at once and not kept."""

from collections.abc import Iterable
from dataclasses import dataclass

from steps.core import licence
from steps.core.catalog import Catalog
from steps.core.manifest import File
from steps.core.selection import is_json, named, wants_remote_code
from steps.errors import Refused

CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Examined:
    """A file, and what its content says that policy asks about."""

    file: File
    remote_code: bool = False
    licences: frozenset[str] = frozenset()


def matters(path: str) -> bool:
    """Whether policy depends on the content of a file of this name."""
    return path == CARD or is_json(path)


def examine(file: File, body: bytes) -> Examined:
    return Examined(
        file=file,
        remote_code=is_json(file.path) and wants_remote_code(body),
        licences=licence.declared(body) if file.path == CARD else frozenset(),
    )


def judge(examined: Iterable[Examined], catalog: Catalog, deployment: str, model: str, commit: str) -> None:
    """Raises Refused: remote code that the catalog does not allow for this commit, or a licence that it does not."""
    seen = tuple(examined)
    entry = catalog.deployments.get(deployment)
    what = f"{model} at {commit}"
    with_code = [e.file.path for e in seen if e.remote_code]
    if with_code and not (entry and commit in entry.allow_auto_map):
        raise Refused(
            f"{what} asks for code of its own (auto_map) in {named(with_code)}; if vLLM has a class for it, add the "
            f"commit to allow_auto_map of deployments.{deployment} in the catalog"
        )
    if catalog.licenses is not None:
        accepted = {*catalog.licenses, *(entry.accept_licenses if entry else ())}
        licence.check(frozenset().union(*(e.licences for e in seen)), accepted, what)
