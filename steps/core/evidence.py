"""What a release's pods answered, all together, and what follows from it."""

from dataclasses import asdict, dataclass
from typing import Any

from steps.core.release import Release
from steps.core.verdict import SHOWN, Result, Verdict, worst
from steps.ports.chat import Answer


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict on each pod of a release; ``release.replicas`` of them are needed to conclude anything good."""

    release: Release
    verdicts: tuple[Verdict, ...]

    @property
    def result(self) -> Result:
        result = worst(v.result for v in self.verdicts)
        return "inconclusive" if result == "pass" and self._too_few else result

    @property
    def sentence(self) -> str:
        """Of the first pod that decided."""
        deciding = (f"pod {v.seen.uid}: {v.sentence}" for v in self.verdicts if v.result == self.result)
        return next(deciding, f"{len(self.verdicts)} of {self.release.replicas} pods are there")

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

    @property
    def _too_few(self) -> bool:
        return len(self.verdicts) < self.release.replicas

    def to_json(self) -> dict[str, Any]:
        """For the reports: what was asked, what each pod answered, what follows."""
        release, smoke = self.release, self.release.smoke
        return {
            "release_id": release.release_id,
            "model": release.model,
            "commit": release.commit,
            "result": self.result,
            "sentence": self.sentence,
            "request": {"prompt": smoke.prompt, "max_tokens": smoke.max_tokens, "temperature": 0},
            "expect": smoke.expect,
            "device": release.serving.device,
            "pods": [_verdict_json(v) for v in self.verdicts],
        }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    seen = verdict.seen
    return {
        "uid": seen.uid,
        "result": verdict.result,
        "findings": [asdict(f) for f in verdict.findings],
        "served": dict(seen.roots),
        "device_seen": seen.device,
        "answer": _answer_json(seen.plain),
        "streamed": _answer_json(seen.streamed),
        "first_token_seconds": verdict.first_token_seconds,
        "tokens_per_second": verdict.tokens_per_second,
    }


def _answer_json(answer: Answer | None) -> dict[str, Any] | None:
    return {**asdict(answer), "text": answer.text[:SHOWN]} if answer else None
