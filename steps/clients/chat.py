"""A pod's OpenAI API, asked directly. Nothing here raises for what a pod does, and nothing goes through a proxy."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from steps.clients.answering import Answering
from steps.clients.letters import whole
from steps.clients.likelihood import traced
from steps.clients.meter import Meter
from steps.core.fingerprint import PROMPT, TOKENS, TOP, Fingerprint
from steps.core.release import Smoke
from steps.core.workload import API_KEY
from steps.ports.chat import Answer
from steps.settings import Settings

if TYPE_CHECKING:
    from openai import OpenAI

QUICK_SECONDS = 10.0
"""For what a healthy server answers at once."""


def connect(settings: Settings, environ: Mapping[str, str] = os.environ) -> "PodChat":
    """The key is the one that model servers have from the same Secret; without it nothing is sent that could be one."""
    return PodChat(settings.smoke_timeout_seconds, environ.get(API_KEY) or "none")


@dataclass(frozen=True)
class PodChat:
    """``seconds`` are for one request, from sending it until its last byte."""

    seconds: float
    api_key: str = field(repr=False)

    def healthy(self, url: str) -> bool:
        response = self._get(f"{url}/health")
        return response is not None and response.status_code == httpx2.codes.OK

    def models(self, url: str) -> Mapping[str, str | None]:
        response = self._get(f"{url}/v1/models")
        if response is None or response.status_code != httpx2.codes.OK:
            return {}
        try:
            return {whole(str(card["id"])): _root(card) for card in response.json()["data"]}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # the last: brackets without end
            return {}

    def denies(self, url: str) -> bool:
        response = self._get(f"{url}/v1/models")
        return response is not None and response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)

    def complete(self, url: str, served_name: str, smoke: Smoke) -> Answer:
        with self._client(url) as (client, meter):
            answering = Answering(meter)
            with answering.observed():
                answering.take(client.chat.completions.create(**_request(served_name, smoke)))
        return answering.answer(done=answering.problem is None)

    def stream(self, url: str, served_name: str, smoke: Smoke) -> Answer:
        with self._client(url) as (client, meter):
            answering = Answering(meter)
            with answering.observed():
                chunks = client.chat.completions.create(
                    **_request(served_name, smoke), stream=True, stream_options={"include_usage": True}
                )
                for chunk in chunks:
                    answering.take(chunk)
        return answering.answer(done=meter.saw_done)

    def fingerprint(self, url: str, served_name: str) -> tuple[Fingerprint | None, str]:
        found = None
        with self._client(url) as (client, meter):
            answering = Answering(meter, "a completion with logprobs")
            with answering.observed():
                completed = client.completions.create(
                    model=served_name, prompt=PROMPT, max_tokens=TOKENS, temperature=0, logprobs=TOP
                )
                found = traced(completed)
        if answering.problem is not None:
            return None, _why(answering.answer(done=False))
        return found, "" if found else "its answer has no logprobs"

    def _get(self, url: str) -> httpx2.Response | None:
        try:
            with self._http(Meter(min(self.seconds, QUICK_SECONDS))) as client:
                return client.get(url, headers={"Authorization": f"Bearer {self.api_key}"})
        except httpx2.HTTPError:
            return None

    def _http(self, meter: Meter) -> httpx2.Client:
        plain = {"Accept-Encoding": "identity"}  # a small compressed body may be a huge one
        return httpx2.Client(transport=meter, timeout=meter.seconds, headers=plain, trust_env=False)

    @contextmanager
    def _client(self, url: str) -> "Iterator[tuple[OpenAI, Meter]]":
        from openai import OpenAI  # 0.7 s that only a proof has to pay

        meter = Meter(self.seconds)
        with OpenAI(
            base_url=f"{url}/v1",
            api_key=self.api_key,
            max_retries=0,  # a retry would hide what is measured
            timeout=self.seconds,
            http_client=self._http(meter),
        ) as client:
            yield client, meter


def _root(card: Any) -> str | None:
    root = card.get("root")
    return whole(root) if isinstance(root, str) else None


def _request(served_name: str, smoke: Smoke) -> dict[str, Any]:
    return {
        "model": served_name,
        "messages": [{"role": "user", "content": smoke.prompt}],
        "max_tokens": smoke.max_tokens,
        "temperature": 0,
    }


def _why(answer: Answer) -> str:
    return f"{answer.problem}: {answer.text!r}" if answer.text else f"the answer {answer.problem}"
