"""The Hub's failures as ours, told apart by type and status: one sentence each, with its remedy.

A missing repository and a private one get one sentence, for the Hub answers both alike.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import httpx2
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # public, but not marked so

from steps.errors import Missing, Transient


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked of which Hub, for the sentence when it fails."""

    endpoint: str
    model: str
    revision: str
    with_token: bool
    stall_seconds: float
    path: str = ""

    @property
    def what(self) -> str:
        return f"{self.path} of {self.model}" if self.path else self.model

    @property
    def means(self) -> str:
        return "the token in HF_TOKEN" if self.with_token else "a visitor without HF_TOKEN"


NO_HUBS_ANSWER = (ValueError, KeyError, TypeError, AttributeError)
"""What huggingface_hub raises of a body that is not the JSON of a Hub, or has not its fields, or other values."""


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Let nothing of the library's through but bugs."""
    try:
        yield
    except HfHubHTTPError as err:
        _refused(asked, err)
    except OfflineModeIsEnabled as err:
        raise Transient("the Hub is not asked because HF_HUB_OFFLINE is set; unset it") from err
    except httpx2.RequestError as err:
        _unreached(asked, err)
    except (*NO_HUBS_ANSWER, httpx2.InvalidURL) as err:
        raise Transient(
            f"{asked.endpoint} gave an answer about {asked.what} that is no Hub's; check HF_ENDPOINT and proxies"
        ) from err


def told_to_wait(response: httpx2.Response) -> float | None:
    """Seconds until the Hub wants to be asked again; None where it does not say."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    after = response.headers.get("Retry-After", "").strip()
    return float(after) if after.isdecimal() else None


def told_to_stay_away(endpoint: str, status: int, seconds: float) -> Transient:
    if status == 429:
        return Transient(
            f"{endpoint} takes no more requests for {seconds:.0f} s; run again then, or set HF_TOKEN for a higher limit"
        )
    return Transient(f"{endpoint} answered {status} and takes no requests for {seconds:.0f} s; run again then")


def _refused(asked: Asked, err: HfHubHTTPError) -> NoReturn:
    status = err.response.status_code
    if status == 429:
        raise told_to_stay_away(asked.endpoint, status, told_to_wait(err.response) or 60) from err
    if status >= 500 or status == 408:
        raise Transient(f"{asked.endpoint} answered {status} when asked for {asked.what}; run again later") from err
    raise Missing(_why_missing(asked, err)) from err


def _why_missing(asked: Asked, err: HfHubHTTPError) -> str:
    page = f"{asked.endpoint}/{asked.model}"
    match err:
        case GatedRepoError():  # before RepositoryNotFoundError, which it is a kind of
            why = f"{asked.model} is gated, and {asked.means} may not; accept its terms at {page} and set HF_TOKEN"
        case DisabledRepoError():
            why = f"{asked.model} is disabled on the Hub; {page} says why"
        case RepositoryNotFoundError():
            why = (
                f"{asked.model} does not exist on {asked.endpoint}, or is private and {asked.means} may not see it; "
                "check its name, or set HF_TOKEN to one that may"
            )
        case RevisionNotFoundError():
            why = f"{asked.model} has no branch, tag or commit {asked.revision}; {page}/commits lists them"
        case RemoteEntryNotFoundError():
            why = f"{asked.what} does not exist at {asked.revision}"
        case _:
            why = _why_not(asked, err.response.status_code)
    return why


def _why_not(asked: Asked, status: int) -> str:
    if status == 401 and asked.with_token:
        return f"{asked.endpoint} does not know {asked.means}; set a valid one, or none for a public model"
    if status in (401, 403):
        return f"{asked.endpoint} does not let {asked.means} read {asked.what}; set HF_TOKEN to one that may"
    return f"{asked.endpoint} answered {status} when asked for {asked.what}; check the model's name and HF_ENDPOINT"


def _unreached(asked: Asked, err: httpx2.RequestError) -> NoReturn:
    if isinstance(err, httpx2.ReadTimeout):
        raise Transient(
            f"no byte of {asked.what} came from {asked.endpoint} for {asked.stall_seconds:g} s; run again, or raise "
            "VLLM_PROMOTE_STALL_SECONDS"
        ) from err
    why = str(err)[:120] or type(err).__name__
    if isinstance(err, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        raise Transient(
            f"{asked.endpoint} cannot be reached ({why}); check the network, HF_ENDPOINT and proxies"
        ) from err
    raise Transient(f"the connection to {asked.endpoint} broke while {asked.what} was read ({why}); run again") from err
