"""A run whose steps only act: what each attempt does, and what is done to the run meanwhile.

The same scenario is played by Argo (`staged`, with `part` in the pods) and by the local engine (`played`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from steps.contracts import ALL
from steps.core.installed import PROMOTE_TEMPLATE
from steps.step import Step

FOR_EVER = 3600.0
STEPS: Mapping[str, Step[Any, Any]] = {step.name: step for step in ALL}
TOLD: Mapping[str, str] = {
    "deployment": "chat",
    "release_id": "ab12ab12ab12",
    "served": "0ddba11c0de5",
    "model": "org/model",
    "commit": "c0ffee",
    "manifest_sha256": "d16e57",
    "state": "new",
    "previous_model": "org/before",
    "previous_commit": "0ddba11",
    "previous_manifest_sha256": "de1e7e",
    "proof": "pod-1",
    "shards": '["1-of-1"]',
    "outcome": "rolled-back",
    "summary": "so it ended",
}
"""What the steps' outputs say; all others are numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One attempt. It fails with ``code`` after ``seconds``, or writes its outputs."""

    code: int = 0
    say: str = ""
    says_argv: bool = False
    """In place of ``say``."""
    killed: bool = False
    """By SIGKILL, as for want of memory."""
    seconds: float = 0.0
    deaf: bool = False
    """Takes no notice of SIGTERM."""
    only: str = ""
    """The share of a model whose pod plays it; those of all others do well."""
    progress: str = ""
    lost: str = ""
    """An output that it does not write."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Where they are not the usual ones."""

    @property
    def waits(self) -> bool:
        return self.seconds == FOR_EVER


STOPPED = "Stopped: ended by SIGTERM"
GOOD = Part()
KILLED = Part(killed=True)
WAITS = Part(seconds=FOR_EVER)
Script = Mapping[str, tuple[Part, ...]]
"""By step; one that is not named does well. The last part counts for all further attempts."""


def fails(code: int) -> Part:
    return Part(code=code, say=f"It failed with {code}: so it is written")


@dataclass(frozen=True, slots=True)
class Interruption:
    """While this step runs, in the run's first life."""

    step: str
    deed: Literal["Stop", "Terminate", "delete pod"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """``again``: how it goes when the run is retried, None where it is not. ``name`` is a deployment's as well."""

    name: str
    script: Script = field(default_factory=dict)
    again: Script | None = None
    interruption: Interruption | None = None
    template: str = PROMOTE_TEMPLATE
    deadlines: Mapping[str, int] = field(default_factory=dict)
    """In seconds, of steps whose own are too long for this."""
    retry_base_seconds: float = 0.05
    """So short that five attempts more are made in 39 s."""

    def lives(self) -> tuple[Script, ...]:
        return (self.script,) if self.again is None else (self.script, self.again)


def parts(script: Script, step: str) -> tuple[Part, ...]:
    """A step's, with the outputs that it writes."""
    return tuple(_written_out(part, STEPS[step]) for part in script.get(step, (GOOD,)))


def part_of(script: Script, step: str, attempt: int) -> Part:
    """The one that this attempt plays; counted from 0."""
    told = parts(script, step)
    return told[min(attempt, len(told) - 1)]


def of_share(part: Part, share: str) -> Part:
    """As `tests.cluster.scripted.part` has it."""
    return part if part.only in ("", share) else replace(part, code=0, killed=False, seconds=0.0)


def dump(script: Script, step: str) -> str:
    """What `tests.cluster.scripted.part` reads."""
    return json.dumps([asdict(part) for part in parts(script, step)])


def sentences(scenario: Scenario) -> frozenset[str]:
    """All that its steps may say."""
    told = {part.say for life in scenario.lives() for parts in life.values() for part in parts}
    return frozenset(told - {""} | {STOPPED})


def _written_out(part: Part, step: Step[Any, Any]) -> Part:
    usual = {f.name: TOLD.get(f.name, "1") for f in fields(step.outputs)}
    outputs = {name: text for name, text in {**usual, **part.outputs}.items() if name != part.lost}
    return replace(part, outputs=outputs)
