"""A claim with all that explains it, as far as the account may see that."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from steps.clients.kube.api import CLAIM, EVENT, NODE, VOLUME, Api, Json
from steps.clients.kube.errors import Forbidden
from steps.core.claim import Seen

T = TypeVar("T")


def look(api: Api, claim: Json) -> Seen:
    return replace(glance(api, claim), nodes=_if_allowed(lambda: api.list(NODE), []))


def glance(api: Api, claim: Json) -> Seen:
    """Without the nodes, of which there may be thousands: what is asked again and again."""
    name = claim["metadata"]["name"]
    about = f"involvedObject.kind={CLAIM.name},involvedObject.name={name}"
    return Seen(claim=claim, volume=_volume(api, claim), events=_if_allowed(lambda: api.list(EVENT, fields=about), []))


def volume_of(api: Api, name: str) -> Json | None:
    """The claim's; None where it has none yet, or where it is not ours to see."""
    claim = api.get(CLAIM, name)
    return _volume(api, claim) if claim else None


def _volume(api: Api, claim: Json) -> Json | None:
    bound = claim["spec"].get("volumeName")
    return _if_allowed(lambda: api.get(VOLUME, bound), None) if bound else None


def _if_allowed(look: Callable[[], T], otherwise: T) -> T:
    try:
        return look()
    except Forbidden:
        return otherwise
