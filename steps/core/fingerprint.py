"""A release's fingerprint: how likely it finds the tokens with which it goes on with one fixed text.

It is a plain completion, not a chat: chat templates write today's date into what a model reads, and a fingerprint that
changes overnight is none.

Where the rule comes from. Two runs of the same weights differ by rounding: in bfloat16, by the batch, the kernels, the
kind of GPU. A token that is nearly as likely as another may then change places with it, and all that follows differs
for good. So, as vLLM's own tests compare models (``check_logprobs_close`` in its tests/models/utils.py), nothing is
compared beyond the first token that is another one, and there each token must be among the other's most likely ones.
Until then both have read the same, and how likely each found the tokens is compared in nats (natural logarithms):

    up to ROUNDING   the same. Logits of 16 to 32 have steps of 0.125 in bfloat16: two of them
    up to the gate   a notice: more than rounding makes. Another image under the same tag, another kind of GPU
    above the gate   other weights, or another computation: a factor of 1.6 in how likely a word is

Measured with vLLM 0.32 on the CPU and SmolLM2-135M-Instruct (2026-11-27), with this text: the same server asked again,
0.00, and beside seven other requests, 0.09 in bfloat16; bfloat16 against float32, 0.10. Weights that give the very same
words with all logits doubled, 1.22; damaged ones, 2.8 at the first token. Chats with three other prompts gave 0.11, and
0.96 to 7.8. On a GPU, and of larger models, nothing was measured yet: that is why the gate is the catalog's to move.
"""

from dataclasses import dataclass
from typing import Any

PROMPT = "The sun rises in the east and sets in the west. The sky is blue because"
TOKENS = 24
TOP = 5
"""Likeliest tokens that are kept of each place; vLLM gives up to 20 unless its arguments say less."""
ROUNDING = 0.25
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Token:
    """One of the answer, with its logarithmic probability, and ``top``, the likeliest in its place with theirs."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]

    def nats(self, text: str) -> tuple[float, bool]:
        """How likely ``text`` was in this place; True where no more is known than that it was not likelier."""
        known = {**dict(self.top), self.text: self.logprob}
        return (known[text], False) if text in known else (min(known.values()), True)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    def to_json(self) -> list[Any]:
        return [[t.text, round(t.logprob, DECIMALS), [[x, round(p, DECIMALS)] for x, p in t.top]] for t in self.tokens]


@dataclass(frozen=True, slots=True)
class Change:
    """``nats`` is the largest one; ``compared`` tokens were, of which the last is another one where ``parted``."""

    nats: float
    compared: int
    parted: bool


def compare(before: Fingerprint, now: Fingerprint) -> Change:
    largest, compared, parted = 0.0, 0, False
    for old, new in zip(before.tokens, now.tokens, strict=False):
        compared += 1
        largest = max(largest, _apart(old, new))
        if parted := old.text != new.text:
            break
    return Change(nats=largest, compared=compared, parted=parted)


def _apart(old: Token, new: Token) -> float:
    """The largest change of what either run chose; of a token that one does not name, as far as it is known."""
    return max(_change(old.logprob, *new.nats(old.text)), _change(new.logprob, *old.nats(new.text)))


def _change(chosen: float, other: float, at_most: bool) -> float:  # noqa: FBT001  # of Token.nats
    return max(chosen - other, 0.0) if at_most else abs(chosen - other)


def from_json(value: Any) -> Fingerprint:
    """Raises ValueError or TypeError for what is none."""
    return Fingerprint(tuple(Token(str(t), float(p), tuple((str(x), float(q)) for x, q in top)) for t, p, top in value))
