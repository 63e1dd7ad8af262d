"""What a release's pods answered, all together, and what follows from it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from steps.core import fingerprint
from steps.core.answers import SHOWN
from steps.core.finding import Result, worst
from steps.core.fingerprint import Change, Fingerprint, compare
from steps.core.measured import Measured
from steps.core.release import Release
from steps.core.verdict import Past, Verdict
from steps.ports.chat import Answer

GATES = (
    *("max_first_token_seconds", "min_tokens_per_second"),
    *("max_first_token_of_live", "min_tokens_per_second_of_live", "max_logprob_change"),
)
"""Fields of ``Smoke``: what a candidate is measured against, and what is not asked of one that passed once."""


FIRST = Past()
"""Of a release that was never tested, where nothing serves."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict on each pod of a release; ``release.replicas`` of them are needed to conclude anything good."""

    release: Release
    verdicts: tuple[Verdict, ...]
    past: Past = FIRST

    @property
    def result(self) -> Result:
        result = worst(v.result for v in self.verdicts)
        return "inconclusive" if result == "pass" and self._too_few else result

    @property
    def sentence(self) -> str:
        """Of the first pod that decided."""
        deciding = (f"pod {v.seen.name}: {v.sentence}" for v in self.verdicts if v.result == self.result)
        return next(deciding, f"{len(self.verdicts)} of {self.release.replicas} pods are there")

    @property
    def notices(self) -> tuple[str, ...]:
        """Of what passed, what a person should know."""
        return tuple(f"pod {v.seen.name}: {said}" for v in self.verdicts for said in v.notices)

    @property
    def pods(self) -> str:
        """Uids of the pods that passed, sorted, with commas between: one output parameter."""
        return ",".join(sorted(v.seen.uid for v in self.verdicts if v.result == "pass"))

    @property
    def first_token_seconds(self) -> float:
        """The slowest pod's."""
        return max((v.first_token_seconds or 0.0 for v in self.verdicts), default=0.0)

    @property
    def tokens_per_second(self) -> float:
        """The slowest pod's."""
        return min((v.tokens_per_second or 0.0 for v in self.verdicts), default=0.0)

    def at_last(self) -> "Proof":
        """When nobody asks any more; see ``Verdict.at_last``."""
        return replace(self, verdicts=tuple(v.at_last() for v in self.verdicts))

    def measured(self, at: float) -> Measured:
        """What is kept of it; the slowest pod's figures, the first one's fingerprint."""
        rates = [r for v in self.verdicts if (r := v.tokens_per_second) is not None]
        firsts = [s for v in self.verdicts if (s := v.first_token_seconds) is not None]
        prints = next((v.seen.fingerprint for v in self.verdicts if v.seen.fingerprint), None)
        return Measured(
            at=at,
            first_token_seconds=max(firsts, default=None),
            tokens_per_second=min(rates, default=None),
            fingerprint=prints,
            fingerprinted=at if prints else None,
        )

    @property
    def _too_few(self) -> bool:
        return len(self.verdicts) < self.release.replicas

    def _change(self, verdict: Verdict) -> Change | None:
        """Of its fingerprint since the first test, or from the first pod's; None where there are not two."""
        now, own = verdict.seen.fingerprint, self.past.own
        before = own.fingerprint if own else None
        first = next((v for v in self.verdicts if v.seen.fingerprint), verdict)
        if before is None and first is not verdict:
            before = first.seen.fingerprint
        return compare(before, now) if before and now else None

    def to_json(self) -> dict[str, Any]:
        """For the reports: what was asked, what each pod answered, what follows."""
        release, smoke = self.release, self.release.smoke
        return {
            "release_id": release.release_id,
            "model": release.model,
            "commit": release.commit,
            "result": self.result,
            "sentence": self.sentence,
            "notices": list(self.notices),
            "request": {"prompt": smoke.prompt, "max_tokens": smoke.max_tokens, "temperature": 0},
            "expect": smoke.expect,
            "gates": {name: getattr(smoke, name) for name in GATES},
            "device": release.serving.device,
            "live": _figures(self.past.live),
            "fingerprint_prompt": fingerprint.PROMPT,
            "fingerprint_before": _fingerprint_json(self.past.own.fingerprint if self.past.own else None),
            "pods": [_verdict_json(v, self._change(v)) for v in self.verdicts],
        }


def _verdict_json(verdict: Verdict, change: Change | None) -> dict[str, Any]:
    seen = verdict.seen
    return {
        "pod": seen.name,
        "uid": seen.uid,
        "result": verdict.result,
        "findings": [{"check": f.check, "result": f.result, "sentence": f.sentence} for f in verdict.findings],
        "served": dict(seen.roots),
        "device_seen": seen.device,
        "last_lines": list(seen.last_lines),
        "answer": _answer_json(seen.plain),
        "streamed": _answer_json(seen.streamed),
        "first_token_seconds": verdict.first_token_seconds,
        "tokens_per_second": verdict.tokens_per_second,
        "fingerprint": _fingerprint_json(seen.fingerprint),
        "fingerprint_change": asdict(change) if change else None,
    }


def _figures(live: Measured | None) -> dict[str, Any] | None:
    if live is None:
        return None
    return {"first_token_seconds": live.first_token_seconds, "tokens_per_second": live.tokens_per_second}


def _fingerprint_json(found: Fingerprint | None) -> dict[str, Any] | None:
    """In short: what it says, and how likely it finds each token."""
    if found is None:
        return None
    return {"text": found.text[:SHOWN], "logprobs": [round(t.logprob, fingerprint.DECIMALS) for t in found.tokens]}


def _answer_json(answer: Answer | None) -> dict[str, Any] | None:
    return {**asdict(answer), "text": answer.text[:SHOWN]} if answer else None
