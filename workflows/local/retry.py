"""Whether a step that failed is tried again, and when: a template's ``retryStrategy`` by Argo's rules.

Read in argoproj/argo-workflows v4.1.2, processNodeRetries. Of all expressions this knows ours alone, and takes the
status and the exit codes from it.

One difference: Argo looks at the backoff's deadline before limit and expression, so a node that is not tried again ends
only after the wait that would have come. On one machine nobody waits in vain.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steps.core.run import Attempt
from steps.errors import BadInput

NO_EXIT_CODE = -1
_EXPRESSION = re.compile(
    r"lastRetry\.status == '(?P<status>Error|Failed)' or "
    r"asInt\(lastRetry\.exitCode\) in \[(?P<codes>-?\d+(?:, -?\d+)*)\]"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """``limit`` counts further attempts. Waiting grows by ``factor`` from ``base_seconds`` up to ``cap_seconds``."""

    limit: int
    status: str
    exit_codes: frozenset[int]
    base_seconds: float
    factor: int
    cap_seconds: float
    max_seconds: float | None
    """From the first attempt's beginning, no attempt begins later."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``at``: when the next attempt begins, in seconds since the epoch; None: it is over, and ``reason`` says why."""

    at: float | None
    reason: str


def parse(strategy: Mapping[str, Any]) -> Retry:
    """Raises BadInput for what is not of our one form."""
    match = _EXPRESSION.fullmatch(strategy.get("expression", ""))
    backoff = strategy.get("backoff", {})
    if not match or "limit" not in strategy or not {"duration", "factor", "cap"} <= set(backoff):
        raise BadInput(
            "the local engine knows one retryStrategy: limit, backoff with duration, factor and cap, and the "
            "expression of workflows/bridge.py; mend the template"
        )
    return Retry(
        limit=int(strategy["limit"]),
        status=match["status"],
        exit_codes=frozenset(int(code) for code in match["codes"].split(", ")),
        base_seconds=seconds(backoff["duration"]),
        factor=int(backoff["factor"]),
        cap_seconds=seconds(backoff["cap"]),
        max_seconds=seconds(backoff["maxDuration"]) if "maxDuration" in backoff else None,
    )


def decide(retry: Retry | None, attempts: Sequence[Attempt]) -> Decision:
    """After the last of these attempts failed; all have ended, and earlier runs' attempts are not among them."""
    last = attempts[-1]
    if retry is None:
        return Decision(None, "")
    if len(attempts) > retry.limit:
        return Decision(None, "No more retries left")
    exit_code = NO_EXIT_CODE if last.exit_code is None else last.exit_code
    if last.phase != retry.status and exit_code not in retry.exit_codes:
        return Decision(None, "retryStrategy.expression evaluated to false")
    wait = min(retry.base_seconds * float(retry.factor) ** (len(attempts) - 1), retry.cap_seconds)
    at = (last.finished or last.started) + wait
    if retry.max_seconds is not None and at > attempts[0].started + retry.max_seconds:
        return Decision(None, "Backoff would exceed max duration limit")
    return Decision(at, f"Backoff for {wait:g} s")


def seconds(duration: str) -> float:
    """``15``, ``0.5s``, ``10m``: seconds where there is no unit. Raises BadInput."""
    match = _DURATION.fullmatch(str(duration))
    if not match:
        raise BadInput(f"the local engine cannot read the duration {duration!r}; write seconds, as in 15s")
    return float(match[1]) * _SECONDS[match[2]]
