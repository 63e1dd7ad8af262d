"""What things may be called, and where they lie.

Patterns follow the Hub's, S3's, git's and Kubernetes' own rules, a little stricter: reference/reliability.md 7.4.

S3, below an optional prefix          volume
    models/SLUG/COMMIT/PATH               SLUG/COMMIT/PATH
    manifests/SLUG/COMMIT.json            .manifests/SLUG/COMMIT.json
    releases/DEPLOYMENT/RELEASE_ID.json   .staging/SLUG/COMMIT.ATTEMPT/PATH
    history/DEPLOYMENT/TIME-RUN.json      .trash/
    reports/RUN/NAME
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import NoReturn

from steps.errors import BadInput

_SEGMENT = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_MODEL = re.compile(rf"(?!.*(?:--|\.\.))(?:{_SEGMENT}/)?{_SEGMENT}(?<!\.git)", re.ASCII)
_REVISION = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,253}[A-Za-z0-9_-])?", re.ASCII
)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_DEPLOYMENT = re.compile(r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?", re.ASCII)
_RELEASE_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"(?!/)(?!.*//)(?!.*(?:^|/)\.{1,2}(?:/|\Z))[A-Za-z0-9!_.*'()/-]{1,512}(?<!/)", re.ASCII)
_RUN = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)

_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = frozenset({".cache", ".staging", ".manifests", ".trash"})
"""First segments of a path that would land among our own directories, or a Hub client's, on the volume."""
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that no file name needs: control, format and bidi characters, half surrogates, line breaks."""

SHOWN = 80
"""Characters of a bad value that a message repeats."""


def check_model(text: str) -> str:
    """A Hub model id, ``ORG/NAME`` or ``NAME``, returned as it is. Raises BadInput."""
    return _check(_MODEL, text, "model", "ORG/NAME or NAME: letters, digits, _ . - in each part, no '--' or '..'")


def check_revision(text: str) -> str:
    """A branch, tag or commit. Raises BadInput."""
    return _check(_REVISION, text, "revision", "a branch, a tag or a commit: letters, digits, _ . / -")


def check_deployment(text: str) -> str:
    """The DNS name that clients know. Raises BadInput."""
    return _check(
        _DEPLOYMENT, text, "deployment", "at most 40 lower-case letters, digits and '-', starting with a letter"
    )


def check_namespace(text: str) -> str:
    """Of Kubernetes: an RFC 1123 label. Raises BadInput."""
    return _check(_NAMESPACE, text, "namespace", "at most 63 lower-case letters, digits and '-'")


def check_commit(text: str) -> str:
    """A full git commit. Raises BadInput."""
    return _check(_COMMIT, text, "commit", "40 lower-case hex digits")


def check_release_id(text: str) -> str:
    """Raises BadInput."""
    return _check(_RELEASE_ID, text, "release", "12 lower-case hex digits, as `python -m workflows.history` prints")


def check_run(text: str) -> str:
    """A Workflow's name: a DNS subdomain. Raises BadInput."""
    return _check(_RUN, text, "run", "lower-case letters, digits, '-' and '.'")


def check_bucket(text: str) -> str:
    """Raises BadInput."""
    return _check(_BUCKET, text, "bucket", "an S3 bucket name: 3 to 63 lower-case letters, digits, '.' and '-'")


def check_prefix(text: str) -> str:
    """A key prefix without slashes at its ends; empty stands for none. Raises BadInput."""
    return text and _check(_PREFIX, text, "prefix", "an S3 key prefix without '/' at its ends, '//' or '..'")


def path_problem(path: str) -> str | None:
    """Why a file of a model must not be written under this name; None when it may.

    A path is relative, at most 1024 bytes, its segments 1 to 255 bytes between ``/``.
    """
    segments = path.split("/")
    if any(unicodedata.category(c) in _UNPRINTABLE for c in path):
        return "control characters"
    if path.startswith("/") or _DRIVE.match(path):
        return "absolute"
    if "\\" in path:
        return "a backslash"
    if any(s in ("", ".", "..") for s in segments):
        return "an empty, '.' or '..' segment"
    if len(path.encode()) > 1024 or any(len(s.encode()) > 255 for s in segments):
        return "too long"
    return "a reserved name" if segments[0].lower() in _RESERVED else None


def is_commit(text: str) -> bool:
    """Whether a revision is a commit already, and so needs no Hub to be resolved."""
    return _COMMIT.fullmatch(text) is not None


def slug(model: str) -> str:
    """A model id as one path segment. ``--`` cannot occur in an id, so it is one-to-one."""
    return model.replace("/", "--")


def model_of(slug: str) -> str:
    """The model whose slug this is. Raises BadInput for what is none."""
    return check_model(slug.replace("--", "/"))


def default_deployment(model: str) -> str:
    """The deployment of a model that no catalog entry names: readable, and different for different models."""
    readable = re.sub(r"[^a-z0-9]+", "-", slug(model).lower()).strip("-")
    if readable[:1].isdigit() or not readable:
        readable = f"m-{readable}"
    return f"{readable[:31].strip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Keys in the store. ``prefix`` has no slashes at its ends."""

    prefix: str = ""

    def model_prefix(self, model: str, commit: str) -> str:
        """Of the keys of one commit's files; ends in a slash."""
        return self._join("models", slug(model), commit, "")

    def model_file(self, model: str, commit: str, path: str) -> str:
        return self.model_prefix(model, commit) + path

    def manifest(self, model: str, commit: str) -> str:
        return self._join("manifests", slug(model), f"{commit}.json")

    def manifests_prefix(self, model: str) -> str:
        return self._join("manifests", slug(model), "")

    @property
    def all_manifests(self) -> str:
        """Prefix of their keys; ``of_manifest`` reads the rest."""
        return self._join("manifests", "")

    def of_manifest(self, key: str) -> tuple[str, str] | None:
        """Model and commit of a key below ``all_manifests``; None for what ``manifest`` would not have called so."""
        folder, _, name = key.removeprefix(self.all_manifests).partition("/")
        commit = name.removesuffix(".json")
        try:
            model = model_of(folder)
        except BadInput:
            return None
        return (model, commit) if is_commit(commit) and key == self.manifest(model, commit) else None

    @property
    def all_releases(self) -> str:
        """Prefix of their keys."""
        return self._join("releases", "")

    def release(self, deployment: str, release_id: str) -> str:
        return self._join("releases", deployment, f"{release_id}.json")

    def history(self, deployment: str, time: str, run: str) -> str:
        """``time`` sorts as text, so a listing of the prefix is in order."""
        return self._join("history", deployment, f"{time}-{run}.json")

    def history_prefix(self, deployment: str) -> str:
        return self._join("history", deployment, "")

    def report(self, run: str, name: str) -> str:
        return self._join("reports", run, name)

    def _join(self, *parts: str) -> str:
        return "/".join(filter(None, (self.prefix, *parts[:-1]))) + "/" + parts[-1]


def _check(pattern: re.Pattern[str], text: str, what: str, wanted: str) -> str:
    if not pattern.fullmatch(text):
        _refuse(what, text, wanted)
    return text


def _refuse(what: str, text: str, wanted: str) -> NoReturn:
    shown = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    raise BadInput(f"{what} {shown!r} cannot be used; it must be {wanted}")
