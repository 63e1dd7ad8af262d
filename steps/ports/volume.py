"""Published model directories, as the steps see them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from steps.core.manifest import File, Manifest

Bytes = bytes | memoryview


class Opened(Protocol):
    """A file, read from its start on."""

    def read(self, size: int, /) -> bytes | None:
        """So many bytes or fewer; none at its end."""
        ...

    def seek(self, offset: int, /) -> int: ...

    def fileno(self) -> int: ...

    def sha256(self) -> str:
        """Of the whole, in hex."""
        ...


class Volume(Protocol):
    """Published model directories, each written once and never again."""

    def manifest(self, model: str, commit: str) -> Manifest | None:
        """Of a published directory; None where it is not published. Raises Corrupt."""
        ...

    def sizes(self, model: str, commit: str) -> Mapping[str, int]:
        """Of the files in a published directory, by path, nothing read; empty where it is not published."""
        ...

    def staged(self, model: str, commit: str) -> Mapping[str, int]:
        """Sizes by path of the files that attempts at it have finished, not proved; what populate will take over."""
        ...

    def leftovers(self, model: str, commit: str) -> Mapping[str, int]:
        """Bytes by directory of what attempts at other commits have left; each is swept when its own is published."""
        ...

    def commits(self, model: str) -> Sequence[Manifest]:
        """Manifests of all published commits of this model, where they can be read."""
        ...

    def free_bytes(self) -> int: ...


class ReadableVolume(Volume, Protocol):
    """As ``checksum`` sees it."""

    def entries(self, model: str, commit: str) -> Mapping[str, int | None]:
        """As ``sizes``, with None for what is no regular file: links, which are never followed, among them."""
        ...

    def open(self, model: str, commit: str, path: str) -> AbstractContextManager[Opened]:
        """A published file, read from the disk or its server and not from a cache. Raises Missing without rights."""
        ...


class Draft(Protocol):
    """A file in the making. Leaving the context without ``keep`` leaves nothing of it."""

    def write(self, offset: int, body: Bytes) -> None:
        """From there on; in any order, from several threads. Raises NoSpace."""
        ...

    def keep(self) -> None:
        """From here on the file is finished, and on the disk. Raises NoSpace."""
        ...


class Staging(Protocol):
    """A directory in the making. Any method may raise Conflict: somebody else has published the same by now."""

    def adopt(self, file: File) -> bool:
        """Take over a finished file of an earlier attempt, or of the published directory that is to be replaced.

        Its content is proved; False where there is none.
        """
        ...

    def share(self, file: File, commit: str, path: str) -> bool:
        """Give a file of another published commit a second name here, its content proved; False where that cannot be.

        It is one file then: what damages it damages both commits.
        """
        ...

    def write(self, file: File) -> AbstractContextManager[Draft]: ...

    def publish(self) -> None:
        """From here on the directory is there, whole."""
        ...

    def replace(self) -> None:
        """As ``publish``, in the place of a damaged one, which is moved to the trash as it is."""
        ...

    def leave(self) -> None:
        """What is finished stays for the next attempt, although nothing was published. Never raises."""
        ...


class WritableVolume(ReadableVolume, Protocol):
    """As ``populate`` sees it."""

    def stage(self, manifest: Manifest) -> AbstractContextManager[Staging]:
        """Raises Missing when the volume is not there or not writable, before a byte is written."""
        ...

    def sweep(self, model: str, commit: str) -> None:
        """Remove what attempts at a published commit have left; one that still runs meets Conflict."""
        ...


class AuditedVolume(WritableVolume, Protocol):
    """As ``audit`` sees it."""

    def published(self) -> Sequence[tuple[str, str]]:
        """Model and commit of everything that has the name of a published directory, whatever it is."""
        ...
