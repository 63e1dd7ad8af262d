"""The one HTTP session that all of huggingface_hub's requests go through: its limits, and what it never does."""

import httpx2
from huggingface_hub import is_offline_mode
from huggingface_hub.errors import OfflineModeIsEnabled

from steps.clients.hub_errors import told_to_stay_away, told_to_wait

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 330.0
"""How long the Hub's own wish to wait is obeyed; its windows are five minutes."""
PASSING = (408, 429, 500, 502, 503, 504)
LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
"""Each thread that fetches has one to the Hub and one to where its bytes come from. By itself the library keeps 20 of
all, and makes the others again for each file: two round trips and more, with TLS."""


def session(endpoint: str, stall_seconds: float) -> httpx2.Client:
    """Most requests set no time limit of their own; the token goes to ``endpoint`` only."""
    timeout = httpx2.Timeout(stall_seconds, connect=min(CONNECT_SECONDS, stall_seconds))
    home = httpx2.URL(endpoint).origin

    def before(request: httpx2.Request) -> None:
        if is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE")
        request.extensions = {**request.extensions, "timeout": timeout.as_dict()}
        if request.url.origin != home:
            request.headers.pop("Authorization", None)

    def after(response: httpx2.Response) -> None:
        told = told_to_wait(response)
        if response.status_code in PASSING and told is not None and told > PATIENCE_SECONDS:
            raise told_to_stay_away(endpoint, response.status_code, told)

    client = httpx2.Client(follow_redirects=True, timeout=timeout, limits=LIMITS)
    client.event_hooks = {"request": [before], "response": [after]}
    return client
