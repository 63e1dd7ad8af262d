"""Where one commit of a model lies on the volume, and what lies there."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steps.clients.volume_errors import translated
from steps.core.names import check_commit, check_model, path_problem, slug
from steps.errors import Corrupt, Refused


@dataclass(frozen=True)
class Place:
    root: Path
    slug: str
    commit: str

    @classmethod
    def of(cls, root: Path, model: str, commit: str) -> "Place":
        """Raises BadInput for names that could lead elsewhere."""
        return cls(root, slug(check_model(model)), check_commit(commit))

    @property
    def published(self) -> Path:
        return self.root / self.slug / self.commit

    @property
    def manifest(self) -> Path:
        return self.root / ".manifests" / self.slug / f"{self.commit}.json"

    @property
    def staging(self) -> Path:
        """Of all commits of this model."""
        return self.root / ".staging" / self.slug

    @property
    def trash(self) -> Path:
        """Of all commits of this model: damaged directories that were replaced. Nothing here empties it."""
        return self.root / ".trash" / self.slug

    def file(self, path: str) -> Path:
        return below(self.published, path)

    def is_published(self) -> bool:
        """Raises Corrupt when something else has taken the name."""
        return is_there(self.root, 0) and is_there(self.published.parent) and is_there(self.published)


def is_there(directory: Path, link: int = os.O_NOFOLLOW) -> bool:
    """False where there is nothing. Raises Corrupt for what is no directory, and for a link even to one.

    It is opened, and not only looked up. An NFS client remembers for half a minute that a name was not there, whoever
    has made it meanwhile; unless the directory which it is in has been opened since. So each from the root down is.
    """
    with translated("read", directory):
        try:
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | link))
        except FileNotFoundError:
            return False
        except NotADirectoryError as err:  # for a link, too
            raise Corrupt(f"{directory} is not a directory, so this program did not make it; move it away") from err
    return True


def below(directory: Path, path: str) -> Path:
    """A file of a model in a directory. Raises Refused where its name, or a link on the way, would lead out of it."""
    check_path(path)
    full = directory / path
    if (directory.resolve() / path).parent != full.parent.resolve():
        raise Refused(f"{full.parent} leads out of {directory} by a symbolic link; remove it")
    return full


def check_path(path: str) -> None:
    """Raises Refused for a name that would lead elsewhere."""
    if problem := path_problem(path):
        raise Refused(f"a file may not be called {path[:80]!r} ({problem}); mend the manifest that names it")


def entries(directory: Path) -> dict[str, int | None]:
    """Everything in it but folders, by relative path: the size of a regular file, None for anything else."""
    with translated("read", directory):
        return {path: s.st_size if stat.S_ISREG(s.st_mode) else None for path, s in _walk(directory)}


def _walk(top: Path, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(top / below) as found:
        for entry in found:
            path = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(top, f"{path}/")
            else:
                yield path, entry.stat(follow_symlinks=False)
