"""What the Hub's API says of a repository and of a commit, as JSON."""

from typing import Any

from steps.core.licence import declared
from workflows.local.services.hub_disk import Blob, Commit, Repository


def info(found: Repository, commit: Commit) -> dict[str, Any]:
    card = commit.directory / "README.md"
    licences = declared(card.read_bytes()) if card.exists() else ()
    return {
        "id": found.model,
        "modelId": found.model,
        "sha": commit.id,
        "private": found.private,
        "gated": "manual" if found.gated else False,
        "disabled": False,
        "tags": [f"license:{name}" for name in sorted(licences)],
        "siblings": [{"rfilename": f.path} for f in commit.files],
    }


def refs(found: Repository) -> dict[str, Any]:
    branches = found.branches().items()
    named = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit} for name, commit in branches]
    return {"branches": named, "tags": [], "converts": []}


def entries(commit: Commit) -> list[dict[str, Any]]:
    """Files and folders as the tree API lists them."""
    folders = sorted({f.path[:i] for f in commit.files for i, c in enumerate(f.path) if c == "/"})
    listed = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
    return listed + [_entry(f) for f in commit.files]


def _entry(file: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return entry


def log(commit: Commit) -> list[dict[str, Any]]:
    return [{"id": commit.id, "title": commit.message, "date": commit.date, "authors": []}]
