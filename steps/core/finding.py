"""One thing that a test has seen of a pod, and how it counts.

pass           as it should be
notice         it passes, and a person should know of it
inconclusive   it could not be seen: asked again, never passed; some of it is bad when it still is so at the last
fail           bad by the candidate's own fault
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Result = Literal["pass", "fail", "inconclusive"]
"""Of all findings together."""
Mark = Literal["pass", "notice", "inconclusive", "fail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """``check`` is one word or two, ``sentence`` what was seen; of a bad one, what to do next as well.

    ``lasting``: inconclusive, and no matter of the moment where it stays so for as long as one asks.
    """

    check: str
    result: Mark
    sentence: str
    lasting: bool = False


def worst(results: Iterable[Mark]) -> Result:
    """Of several results; nothing at all proves nothing."""
    found = set(results)
    if "fail" in found:
        return "fail"
    return "pass" if found and found <= {"pass", "notice"} else "inconclusive"


def good(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="pass", sentence=sentence)


def notice(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="notice", sentence=sentence)


def unclear(check: str, sentence: str) -> Finding:
    return Finding(check=check, result="inconclusive", sentence=sentence)


def unmeasured(check: str, sentence: str, advice: str) -> Finding:
    """What could not be seen by the nature of the candidate, or of what it is asked; once, it may be by chance."""
    return Finding(check=check, result="inconclusive", sentence=f"{sentence}: {advice}", lasting=True)


def at_last(finding: Finding) -> Finding:
    """As it counts when nobody asks any more."""
    return replace(finding, result="fail", lasting=False) if finding.lasting else finding


def bad(check: str, sentence: str, advice: str = "") -> Finding:
    return Finding(check=check, result="fail", sentence="; ".join(filter(None, (sentence, advice))))
