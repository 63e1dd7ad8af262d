"""What an audit finds: how a commit lies in one place, held against the manifest that is right for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from steps.core import transfer
from steps.core.amounts import size
from steps.core.manifest import File, Manifest, is_sha256
from steps.core.names import check_commit, check_model
from steps.errors import BadInput

Place = Literal["store", "volume"]


@dataclass(frozen=True, slots=True)
class Subject:
    """``manifest_sha256`` is of what a deployment serves or can go back to; empty for what merely lies there."""

    model: str
    commit: str
    manifest_sha256: str = ""

    def __str__(self) -> str:
        return f"{self.model} at {self.commit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """What a place has of a commit. ``entries`` are sizes by path, None for what is no regular file.

    ``manifest`` is the place's own, None where it has none that can be read; ``problem`` then says why.
    """

    manifest: Manifest | None = None
    problem: str = ""
    entries: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def absent(self) -> bool:
        return self.manifest is None and not self.problem and not self.entries


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """``whole`` is what is wrong with the commit as a whole, ``files`` with single ones, by path; both in words."""

    place: Place
    subject: Subject
    whole: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False

    @property
    def count(self) -> int:
        return len(self.files) + bool(self.whole)

    def lines(self) -> Iterator[str]:
        where = f"{self.place}: {self.subject}"
        yield from [f"{where}: {self.whole}"] if self.whole else []
        yield from (f"{where}: {path}: {words}" for path, words in self.files.items())

    def to_write(self, manifest: Manifest) -> tuple[File, ...]:
        """Files of which the place has no right copy."""
        return tuple(f for f in manifest.files if self.absent or f.path in self.files)

    def strangers(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths of what does not belong there."""
        return tuple(sorted(self.files.keys() - {f.path for f in manifest.files}))

    def and_content(self, digests: Mapping[str, str], manifest: Manifest) -> "Findings":
        """``digests`` by path, of what was read."""
        wrong = {
            f.path: f"sha256 {digests[f.path]}, the manifest says {f.sha256}"
            for f in manifest.files
            if digests.get(f.path, f.sha256) != f.sha256
        }
        return replace(self, files=dict(sorted({**self.files, **wrong}.items())))


def dump(subjects: Iterable[Subject]) -> str:
    """As one input of a step; ``parse`` is its inverse."""
    return " ".join(f"{s.model}@{s.commit}={s.manifest_sha256}" for s in subjects)


def parse(text: str) -> tuple[Subject, ...]:
    """Raises BadInput."""
    return tuple(_parse(word) for word in text.split())


def _parse(word: str) -> Subject:
    model, _, rest = word.partition("@")
    commit, _, manifest_sha256 = rest.partition("=")
    if not is_sha256(manifest_sha256):
        raise BadInput(f"{word[:80]!r} names no commit to audit; write it as MODEL@COMMIT=MANIFEST_SHA256")
    return Subject(check_model(model), check_commit(commit), manifest_sha256)


def right_one(subject: Subject, known: Iterable[Manifest | None]) -> Manifest | None:
    """The manifest that counts: what serves says which; for what merely lies there all that are known must agree."""
    found = {m.sha256: m for m in known if m is not None}
    if subject.manifest_sha256:
        return found.get(subject.manifest_sha256)
    return next(iter(found.values())) if len(found) == 1 else None


def compare(place: Place, subject: Subject, copy: Copy, right: Manifest | None) -> Findings:
    """As far as names and sizes tell. What nobody serves may lie in one place alone."""
    found = Findings(place=place, subject=subject)
    if copy.absent:
        return replace(found, whole="not there at all", absent=True) if subject.manifest_sha256 else found
    if right is None:
        nobody = "neither copy has the manifest that is right for it"
        return replace(found, whole=copy.problem or _other(copy, subject) or nobody)
    return replace(found, whole=_manifest_words(copy, right), files=transfer.by_path(right, copy.entries))


def to_read(copy: Copy, right: Manifest | None) -> tuple[File, ...]:
    """Files whose content names and sizes leave open."""
    return tuple(f for f in right.files if copy.entries.get(f.path) == f.size) if right else ()


def reading(place: Place, subject: Subject, files: tuple[File, ...]) -> str:
    """What takes long, told before it begins."""
    return f"{place}: {subject}: reading {len(files)} files, {size(sum(f.size for f in files))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """``failed`` are commits that could not be looked at to the end, ``found`` and ``left`` differences."""

    commits: int
    failed: int
    found: int
    left: int
    repair: bool

    def summary(self) -> str:
        """One line."""
        return f"{_number(self.commits, 'commit')} looked at: {self._told()}{self._unseen()}"

    def _told(self) -> str:
        if not self.found:
            return "no difference in what was read" if self.failed else "no difference"
        number = _number(self.found, "difference")
        if not self.repair:
            return f"{number}, nothing was changed"
        return f"{number}, {self.left} left" if self.left else f"{number}, repaired and read again"

    def _unseen(self) -> str:
        return f"; {self.failed} not looked at to the end" if self.failed else ""


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _manifest_words(copy: Copy, right: Manifest) -> str:
    if copy.manifest is None:
        return copy.problem or "its manifest is missing"
    if copy.manifest.sha256 != right.sha256:
        return f"its manifest is {copy.manifest.sha256}, {right.sha256} is right"
    return ""


def _other(copy: Copy, subject: Subject) -> str:
    if copy.manifest is None:
        return ""
    said = f"its manifest is {copy.manifest.sha256}"
    if subject.manifest_sha256:
        return f"{said}, a deployment serves {subject.manifest_sha256}, which nobody has"
    return f"{said}, the other place has another one, and no deployment says which is right"
