"""What the Hub answers to a request: paths, headers and error codes as huggingface_hub 2 knows them.

GET  /api/models/MODEL[/revision/REV]          what it is, and which commit a revision is
GET  /api/models/MODEL/tree/REV[/FOLDER]       its files, in pages
GET  /api/models/MODEL/refs                    its branches
GET  /api/models/MODEL/commits/REV             its log; only the first entry, which is all that we ask for
POST /api/models/MODEL/paths-info/REV          some of its files
GET  /MODEL/resolve/REV/PATH                   302 to a signed address for an LFS file, the bytes of any other
GET  /download/SLUG/COMMIT/PATH?…              the bytes behind a signed address: another origin, no token
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from steps.core.names import slug
from workflows.local.services import hub_json
from workflows.local.services.hub_disk import Blob, Commit, Repository, repository, tokens

_ROUTES = (
    ("tree", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?")),
    ("commits", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)/commits/(?P<revision>[^/]+)")),
    ("refs", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)/refs")),
    ("paths", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)/paths-info/(?P<revision>[^/]+)")),
    ("info", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)/revision/(?P<revision>[^/]+)")),
    ("info", re.compile(r"/api/models/(?P<model>[^/]+(?:/[^/]+)?)")),
    ("file", re.compile(r"/(?P<model>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")),
    ("download", re.compile(r"/download/(?P<model>[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)")),
)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CHUNK = 2**18


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """``kind`` is the name of its route, empty for none; header names are in lower case."""

    kind: str
    method: str
    target: str
    model: str = ""
    revision: str = "main"
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def token(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" and token else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """``body`` is what is sent after the headers, in pieces; they say how long it should be."""

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes] = ()


@dataclass(frozen=True, kw_only=True)
class Site:
    """``now`` is the time in seconds. A signed address is good for ``signed_seconds``."""

    root: Path
    endpoint: str
    downloads: str
    """The origin of signed addresses."""
    key: bytes
    signed_seconds: float = 3600
    page_size: int = 1000

    def answer(self, request: Request, now: float) -> Response:
        if request.kind == "download":
            return self._download(request, now)
        opened = tokens(self.root)
        if request.token and opened is not None and request.token not in opened:
            return failure(401, message="Invalid credentials in Authorization header")
        may_read = request.model in (opened or {}).get(request.token or "", ())
        found = repository(self.root, request.model) if request.kind else None
        if found is None or (found.private and not may_read):
            return failure(404 if request.token else 401, "RepoNotFound", "Repository not found")
        if found.renamed_to:
            return _moved(request, found.renamed_to)
        if request.kind == "file" and found.gated and not may_read:
            return failure(403 if request.token else 401, "GatedRepo", f"Access to {found.model} is restricted")
        return self._about(request, found, now)

    def _about(self, request: Request, found: Repository, now: float) -> Response:
        if request.kind == "refs":
            return as_json(hub_json.refs(found))
        commit = found.commit(request.revision)
        if commit is None:
            return failure(404, "RevisionNotFound", f"Invalid rev id: {request.revision}")
        if request.kind == "info":
            return as_json(hub_json.info(found, commit))
        if request.kind == "tree":
            return self._tree(request, commit)
        if request.kind in ("commits", "paths"):
            return as_json(hub_json.log(commit) if request.kind == "commits" else _posted(request, commit))
        return self._file(request, commit, now)

    def _file(self, request: Request, commit: Commit, now: float) -> Response:
        file = commit.file(request.path)
        if file is None:
            return failure(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit.id}
        if not file.lfs:
            return content(commit, file, request, {**headers, "ETag": f'"{file.blob_id}"'})
        linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size), "Content-Length": "0"}
        address = self._signed(f"/download/{slug(request.model)}/{commit.id}/{quote(file.path)}", now)
        return Response(status=302, headers={**headers, **linked, "Location": address})

    def _tree(self, request: Request, commit: Commit) -> Response:
        below = f"{request.path}/" if request.path else ""
        deep = request.query.get("recursive", "").lower() in ("true", "1")
        entries = [e for e in hub_json.entries(commit) if e["path"].startswith(below)]
        listed = [e for e in entries if deep or "/" not in e["path"][len(below) :]]
        start = int(request.query.get("cursor", 0))
        end = start + self.page_size
        answer = as_json(listed[start:end])
        if end >= len(listed):
            return answer
        query = urlencode({**request.query, "cursor": end})
        following = f'<{self.endpoint}{request.target.partition("?")[0]}?{query}>; rel="next"'
        return Response(status=200, headers={**answer.headers, "Link": following}, body=answer.body)

    def _signed(self, path: str, now: float) -> str:
        expires = f"{now + self.signed_seconds:.3f}"
        return f"{self.downloads}{path}?{urlencode({'expires': expires, 'signature': self._signature(path, expires)})}"

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self.key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _download(self, request: Request, now: float) -> Response:
        path, expires = request.target.partition("?")[0], request.query.get("expires", "0")
        good = hmac.compare_digest(self._signature(path, expires), request.query.get("signature", ""))
        if not good or float(expires) < now:
            return failure(403, message="Request has expired")
        found = repository(self.root, request.model.replace("--", "/"))
        commit = found and found.commit(request.revision)
        file = commit and commit.file(request.path)
        if not commit or not file:
            return failure(404, message="Not found")
        return content(commit, file, request, {"ETag": f'"{file.sha256}"'})


def read_request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Request:
    path, _, query = target.partition("?")
    parameters = {name: values[-1] for name, values in parse_qs(query).items()}
    for kind, pattern in _ROUTES:
        if match := pattern.fullmatch(path):
            parts = {name: unquote(value) for name, value in match.groupdict().items() if value}
            return Request(
                kind=kind, method=method, target=target, query=parameters, headers=headers, body=body, **parts
            )
    return Request(kind="", method=method, target=target, headers=headers)


def as_json(value: Any) -> Response:
    body = json.dumps(value).encode()
    return Response(
        status=200, headers={"Content-Type": "application/json", "Content-Length": str(len(body))}, body=[body]
    )


def failure(status: int, code: str = "", message: str = "", **headers: str) -> Response:
    """An error as the Hub says it: in headers and in a JSON body. ``headers`` have ``_`` for ``-``."""
    said = as_json({"error": message})
    told = {"X-Error-Code": code, "X-Error-Message": message, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Response(status=status, headers={**said.headers, **{k: v for k, v in told.items() if v}}, body=said.body)


def _moved(request: Request, model: str) -> Response:
    target = request.target.replace(f"/{request.model}", f"/{model}", 1)
    return Response(status=307, headers={"Location": target, "Content-Length": "0"})


def content(commit: Commit, file: Blob, request: Request, headers: Mapping[str, str]) -> Response:
    """The bytes of a file, or one range of them."""
    told = {**headers, "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if not asked:
        body = _pieces(commit.directory / file.path, 0, file.size)
        return Response(status=200, headers={**told, "Content-Length": str(file.size)}, body=body)
    start, end = int(asked[1]), min(int(asked[2] or file.size - 1), file.size - 1)
    if start > end:
        return failure(416, Content_Range=f"bytes */{file.size}")
    told |= {"Content-Range": f"bytes {start}-{end}/{file.size}", "Content-Length": str(end + 1 - start)}
    return Response(status=206, headers=told, body=_pieces(commit.directory / file.path, start, end + 1))


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as body:
        body.seek(start)
        while start < end and (piece := body.read(min(_CHUNK, end - start))):
            yield piece
            start += len(piece)


def _posted(request: Request, commit: Commit) -> list[dict[str, Any]]:
    wanted = _posted_paths(request)
    return [e for e in hub_json.entries(commit) if e["path"] in wanted]


def _posted_paths(request: Request) -> set[str]:
    if request.headers.get("content-type", "").startswith("application/json"):
        return set(json.loads(request.body)["paths"])
    return set(parse_qs(request.body.decode()).get("paths", ()))
