"""Many files copied within bounded memory, each proved by its sha256: what mirror and populate have in common."""

from collections.abc import Callable, Iterable

from steps import in_one_piece, in_parts
from steps.core.manifest import File, Manifest
from steps.core.names import Layout
from steps.one_file import Fetches, Start
from steps.progress import Progress

FETCHES = 3
"""Of one file: a bit that flips once on the way is not the end; a source that stays wrong is."""


def key(layout: Layout, manifest: Manifest, file: File) -> str:
    """Of the file's object in the store."""
    return layout.model_file(manifest.model, manifest.commit, file.path)


def all_files(  # noqa: PLR0913  # what is copied from where, and how
    files: Iterable[File],
    start: Start,
    source: Callable[[File], str],
    progress: Progress,
    fetches: int = FETCHES,
    *,
    apart: bool = False,
) -> None:
    """The small ones first; ``apart`` says that this may be in other processes. After the return nothing goes on.

    Raises Corrupt for a file whose bytes are wrong ``fetches`` times over, else what the first failure raised.
    ``source`` says where the bytes come from and what to do about them.
    """
    ordered = sorted(files, key=lambda f: f.size, reverse=True)
    small = [f for f in ordered if f.size <= in_one_piece.LARGEST]
    counted = Fetches(source, fetches)
    in_one_piece.copy(small, start, progress, counted, apart=apart)
    in_parts.copy(ordered[: len(ordered) - len(small)], start, progress, counted)
