"""Does a candidate answer as it must? The verdict on one pod, with the evidence and a sentence a person understands.

pass           every finding is good; some may be notices
fail           one finding is bad by the candidate's own fault: it is not tried again by itself
inconclusive   none is bad, but something could not be seen: asked again, never passed; see ``Verdict.at_last``
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from steps.core import answers
from steps.core.finding import Finding, Result, at_last, bad, good, unclear, worst
from steps.core.fingerprint import Fingerprint
from steps.core.gates import gates, speed
from steps.core.measured import Measured
from steps.core.release import Release
from steps.core.sameness import sameness
from steps.ports.chat import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one pod showed. None: it was not asked, because what came before had failed already."""

    uid: str
    name: str
    """As ``kubectl`` knows it."""
    release_id: str
    failure: str | None = None
    """The pod has ended; why, and what it said last."""
    last_lines: tuple[str, ...] = ()
    """Of its log, where it has ended."""
    healthy: bool = False
    roots: Mapping[str, str | None] = field(default_factory=dict)
    """By served name, as ``Chat.models`` gives it."""
    denied: bool = False
    """It wants another API key than ours."""
    plain: Answer | None = None
    streamed: Answer | None = None
    fingerprint: Fingerprint | None = None
    no_fingerprint: str = ""
    """Why there is none, where it was asked for."""
    device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What is known from before: of this release since it passed for the first time, and of the one that serves."""

    own: Measured | None = None
    live: Measured | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """On one pod. ``findings`` are all, good ones too, in the order in which they were made."""

    seen: Seen
    findings: tuple[Finding, ...]

    @property
    def result(self) -> Result:
        return worst(f.result for f in self.findings)

    @property
    def sentence(self) -> str:
        """The first finding that decided; of a pass, what it answered."""
        if self.result == "pass":
            return next(f.sentence for f in self.findings if f.check == "answer")
        return next(f.sentence for f in self.findings if f.result == self.result)

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(f.sentence for f in self.findings if f.result == "notice")

    def at_last(self) -> "Verdict":
        """When nobody asks any more: what the candidate, or the catalog, keeps from being seen is its own fault."""
        return replace(self, findings=tuple(map(at_last, self.findings)))

    @property
    def first_token_seconds(self) -> float | None:
        return self.seen.streamed.first_token_seconds if self.seen.streamed else None

    @property
    def tokens_per_second(self) -> float | None:
        return speed(self.seen.streamed) if self.seen.streamed else None


def judge(release: Release, root: str, seen: Seen, past: Past) -> Verdict:
    """``root`` is the directory that the weights must come from, in the form in which the server says it."""
    return Verdict(seen=seen, findings=tuple(_findings(release, root, seen, past)))


def _findings(release: Release, root: str, seen: Seen, past: Past) -> Iterator[Finding]:
    smoke = release.smoke
    yield _identity(release, seen)
    if seen.failure:
        yield _died(seen)
    yield _health(seen)
    yield _key() if seen.denied else _weights(release.serving.served_name, root, seen.roots)
    yield answers.answer(smoke, seen.plain) if seen.plain else unclear("answer", "it was not asked")
    yield (
        answers.streamed(smoke, seen.streamed)
        if seen.streamed
        else unclear("streamed answer", "it was not asked for a stream")
    )
    if seen.streamed:
        yield from gates(smoke, seen.streamed, past.live)
        yield sameness(smoke, seen.fingerprint, seen.no_fingerprint, past.own)
    yield _device(release.serving.device, seen.device)


def _identity(release: Release, seen: Seen) -> Finding:
    if seen.release_id != release.release_id:
        return unclear("identity", f"pod {seen.name} belongs to release {seen.release_id}, not {release.release_id}")
    return good("identity", f"pod {seen.name} ({seen.uid}) is one of release {release.release_id}")


def _died(seen: Seen) -> Finding:
    return bad(
        "alive",
        f"the model server died while it was tested: {seen.failure}",
        "its log is kept with this run's reports: see memory, args and image in its catalog entry",
    )


def _health(seen: Seen) -> Finding:
    if not seen.healthy:
        return unclear("health", "the model server does not answer /health with 200")
    return good("health", "/health answers 200")


def _key() -> Finding:
    return unclear("weights", "it wants another API key than this step has: the Secret was changed since it started")


def _weights(served_name: str, root: str, roots: Mapping[str, str | None]) -> Finding:
    if not roots:
        return unclear("weights", "/v1/models names no model")
    advice = "see whether somebody changed its arguments by hand, and promote it again"
    if served_name not in roots:
        return bad("weights", f"it serves {', '.join(sorted(roots))}, not {served_name}", advice)
    if roots[served_name] != root:
        said = f"wrong weights: it serves {roots[served_name] or 'nothing it names'}, not {root}"
        return bad("weights", said, advice)
    return good("weights", f"{served_name} is served from {root}")


def _device(asked: str, seen: str | None) -> Finding:
    if seen is None:
        return good("device", f"asked for {asked}; what it uses cannot be seen from here")
    if seen != asked:
        said = f"wrong device: it runs on {seen}, asked was {asked}"
        return bad("device", said, "see device, gpus and image in its catalog entry, and the driver of its node")
    return good("device", f"it runs on {seen}")
