"""The Hugging Face Hub: what a model is at a commit, and its bytes by ranges. Nothing is written to disk.

    hub address --302--> signed download address, good for an hour or so --206--> bytes

A token goes to the Hub's own address only. Failures are waited out here for seconds, by Argo for minutes.
"""

import hashlib
import io
import logging
import os
import threading
from dataclasses import replace
from datetime import datetime

import httpx2
import stamina
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_url,
    hf_raise_for_status,
    set_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, but not marked so

from steps.clients.hub_errors import Asked, told_to_wait, translated
from steps.clients.hub_session import PASSING, session
from steps.core.manifest import File, is_sha256
from steps.core.names import is_commit
from steps.errors import Corrupt, Missing, StepError
from steps.ports.hub import HubFile, Ranges, Tree
from steps.settings import Settings

_EXPIRED = (401, 403, 410)
"""What the hosts behind signed addresses say when one is no longer good."""

log = logging.getLogger(__name__)


def connect(settings: Settings) -> "HuggingFace":
    """A client of ``settings.hub_endpoint``; the token is HF_TOKEN's, never one that a login left on the machine."""
    token = os.environ.get("HF_TOKEN", "").strip() or None
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log signed addresses
    stamina.instrumentation.set_on_retry_hooks([])  # its line says neither what nor why; ours do
    return HuggingFace(settings.hub_endpoint, token, settings.stall_seconds)


def _worth_waiting(err: Exception) -> bool | float:
    """Whether a failure may pass within seconds; a number is how many the Hub asks for."""
    if isinstance(err, HfHubHTTPError):
        return err.response.status_code in PASSING and _announced(err.response)
    if isinstance(err, httpx2.ReadTimeout) or not isinstance(err, httpx2.TransportError):
        return False  # a stall has taken long enough already
    log.warning("the Hub was not heard (%s); asking again in a moment", err)
    return True


def _announced(response: httpx2.Response) -> bool | float:
    told = told_to_wait(response)
    when = "in a moment" if told is None else f"in {told:g} s, as it wishes"
    log.warning("the Hub answered %d; asking again %s", response.status_code, when)
    return True if told is None else told


_ASK = stamina.RetryingCaller(attempts=3, timeout=None, wait_initial=0.2, wait_max=1, wait_jitter=0.1)
_ASK_AGAIN = _ASK.on(_worth_waiting)
"""A question: a Hub that is not there is known within a second."""
_READ = stamina.RetryingCaller(attempts=5, timeout=None, wait_initial=0.5, wait_max=4, wait_jitter=0.5)
_READ_AGAIN = _READ.on(_worth_waiting)
"""A range among thousands: worth seconds, for the whole attempt depends on it."""


class HuggingFace:
    """``steps.ports.Hub``. Its sessions are huggingface_hub's, so one process has one."""

    def __init__(self, endpoint: str, token: str | None, stall_seconds: float) -> None:
        self._asked = Asked(
            endpoint=endpoint, model="", revision="", with_token=token is not None, stall_seconds=stall_seconds
        )
        # Or building headers fetches a list of AI tools from huggingface.co, and writes it into the home directory.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        self._token = token or False  # None would be a login's
        self._api = HfApi(endpoint=endpoint, token=self._token, library_name="vllm-promote")
        self._headers = build_hf_headers(token=self._token, library_name="vllm-promote")
        set_client_factory(lambda: session(endpoint, stall_seconds))

    def commit(self, model: str, revision: str) -> str:
        with translated(replace(self._asked, model=model, revision=revision)):
            info = _ASK_AGAIN(self._api.model_info, model, revision=revision)
            if not info.sha or not is_commit(info.sha):
                raise ValueError(info.sha)
        if info.id != model:
            raise Missing(f"{model} is called {info.id} on the Hub; promote it under that name")
        if is_commit(revision) and info.sha != revision:
            raise Corrupt(
                f"{self._asked.endpoint} answered with commit {info.sha} of {model} when asked for {revision}; check "
                "HF_ENDPOINT and what stands between here and the Hub"
            )
        return info.sha

    def committed(self, model: str, commit: str) -> float | None:
        """The first entry of the log from there on. Nothing depends on it, so it is asked for once."""
        try:
            answer = get_session().get(
                f"{self._asked.endpoint}/api/models/{model}/commits/{commit}", headers=self._headers
            )
            hf_raise_for_status(answer)
            return _made(answer.json()[0], commit)
        except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, StepError) as err:
            log.info("when %s of %s was made is not known: %s", commit, model, type(err).__name__)
        except (ValueError, LookupError, TypeError) as err:
            log.info("the Hub's log of %s is none (%s)", model, type(err).__name__)
        return None

    def tree(self, model: str, commit: str) -> Tree:
        with translated(replace(self._asked, model=model, revision=commit)):
            # The pages are asked for while the list is made; huggingface_hub waits out what may pass by itself.
            entries = list(self._api.list_repo_tree(model, revision=commit, recursive=True))
            files = tuple(_file(entry) for entry in entries if isinstance(entry, RepoFile))
        return Tree(model=model, commit=commit, files=files)

    def small_file(self, model: str, commit: str, file: HubFile) -> bytes:
        body = self._remote(model, commit, file.path, file.size).read(0, file.size)
        blob_id = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
        if blob_id != file.blob_id:
            raise Corrupt(
                f"{file.path} of {model} has blob id {blob_id}, and the tree at {commit} says {file.blob_id}; "
                "run again, or check what stands between here and the Hub"
            )
        return body

    def open(self, model: str, commit: str, file: File) -> Ranges:
        return self._remote(model, commit, file.path, file.size)

    def _remote(self, model: str, commit: str, path: str, size: int) -> "RemoteFile":
        url = hf_hub_url(model, path, revision=commit, endpoint=self._asked.endpoint)
        return RemoteFile(url, size, self._headers, replace(self._asked, model=model, revision=commit, path=path))


class RemoteFile:
    """``steps.ports.Ranges``: one file, its download address found once and shared by the threads that read it."""

    def __init__(self, url: str, size: int, headers: dict[str, str], asked: Asked) -> None:
        self._url = url
        self._size = size
        self._headers = headers
        self._asked = asked
        self._address: str | None = None
        self._lock = threading.Lock()

    def read(self, start: int, end: int) -> bytes:
        if start == end:
            return b""
        with translated(self._asked):
            return _READ_AGAIN(self._read, start, end)

    def _read(self, start: int, end: int) -> bytes:
        address = self._locate()
        # A file that is asked for whole needs no range, and a Hub may have no ranges for the small ones.
        wanted = None if end - start == self._size else f"bytes {start}-{end - 1}/{self._size}"
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if wanted:
            headers["Range"] = f"bytes={start}-{end - 1}"
        with get_session().stream("GET", address, headers=headers) as response:
            if response.status_code in _EXPIRED and address != self._url:
                self._forget(address)
                raise UnusableAnswerError(f"its download address answered {response.status_code}")
            hf_raise_for_status(response)
            if response.headers.get("Content-Range") != wanted:
                raise UnusableAnswerError(f"{wanted or 'all of it'} was asked for, and something else came")
            return _body(response, end - start)

    def _locate(self) -> str:
        with self._lock:
            if self._address is None:
                found = get_hf_file_metadata(
                    self._url, headers=self._headers, token=False, endpoint=self._asked.endpoint
                )
                self._address = found.location
            return self._address

    def _forget(self, address: str) -> None:
        """Unless another thread has found a new one already."""
        with self._lock:
            if self._address == address:
                self._address = None


class UnusableAnswerError(httpx2.TransportError):
    """No error, and not the bytes that were asked for: as bad as a broken connection, and as likely to pass."""


def _body(response: httpx2.Response, size: int) -> bytes:
    """Exactly so many bytes, and no more memory than they need, whatever the other side sends."""
    body = io.BytesIO()
    for piece in response.iter_raw():
        body.write(piece)
        if body.tell() > size:
            break
    if body.tell() != size:
        raise UnusableAnswerError(f"{body.tell()} bytes instead of {size}")
    return body.getvalue()


def _made(entry: dict[str, str], commit: str) -> float:
    """Raises ValueError, LookupError or TypeError for what is no log that begins with this commit."""
    if entry["id"] != commit:
        raise ValueError(entry["id"])
    return datetime.fromisoformat(entry["date"]).timestamp()


def _file(entry: RepoFile) -> HubFile:
    """Raises ValueError for what no Hub says."""
    sha256 = entry.lfs.sha256 if entry.lfs else None
    size = entry.lfs.size if entry.lfs else entry.size
    if type(size) is not int or size < 0 or not (sha256 is None or is_sha256(sha256)):
        raise ValueError(f"{entry.path!r}: size {size!r}, sha256 {sha256!r}")
    return HubFile(path=entry.path, size=size, blob_id=entry.blob_id, sha256=sha256)
