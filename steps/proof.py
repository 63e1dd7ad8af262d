"""Prove a release by talking to each of its pods: right weights, right answers, fast enough, on the right device."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from steps.core.evidence import GATES, Proof
from steps.core.measured import Measured, latest
from steps.core.record import Record
from steps.core.release import Release
from steps.core.serverlog import last_words
from steps.core.verdict import Past, Seen, judge
from steps.errors import Failed, Transient
from steps.pods import LOG_LINES, keep_log
from steps.ports.serving import Pod
from steps.stage import Stage

PAUSE_SECONDS = 1.0
"""Before asking again what was not answered."""
SHOWN_LINES = 20
"""Of the log of a server that died, in the evidence."""

log = logging.getLogger(__name__)


def name_pods(pods: Sequence[Pod]) -> str:
    """In the form of ``Proof.pods``, to see whether a proof is about these."""
    return ",".join(sorted(p.uid for p in pods))


def examine(stage: Stage, record: Record, release: Release, *, by_hand: bool) -> Proof:
    """Against what is known of it, and of what serves.

    Who goes back by hand takes what serves for bad: it is not held against that, and told of where it has changed.
    """
    own = stage.serving.measured(release.release_id)
    if by_hand:
        return prove(stage, _with(release, max_logprob_change=None), Past(own=own))
    live = stage.serving.measured(record.live) if record.live not in (None, release.release_id) else None
    return prove(stage, release, Past(own=own, live=live))


def prove(stage: Stage, release: Release, before: Past, *, again: bool = False) -> Proof:
    """Ask until it is known, at most as long as one request may take; inconclusive when it still is not.

    But for what will never be known: that is the candidate's own fault then. ``again``: it has passed before. Pods that
    have no place to start are not counted then, and no fingerprint is asked for but of one that has given one.
    """
    until = stage.clock.now() + stage.patience.request
    while True:
        proof = _round(stage, release, before, again=again)
        over = stage.clock.now() >= until
        proof = proof.at_last() if over else proof
        if over or proof.result != "inconclusive":
            log.info("release %s: %s: %s", release.release_id, proof.result, proof.sentence)
            return proof
        log.info("release %s, asking again: %s", release.release_id, proof.sentence)
        stage.clock.sleep(PAUSE_SECONDS)


def require_pass(stage: Stage, proof: Proof) -> None:
    """Raises Failed, or Transient where nothing could be concluded."""
    about = f"release {proof.release.release_id} of {stage.deployment}"
    if proof.result == "fail":
        raise Failed(f"{about} failed its test: {proof.sentence}")
    if proof.result == "inconclusive":
        raise Transient(f"{about} could not be tested: {proof.sentence}; the test is repeated")


def prove_again(stage: Stage, release: Release) -> Proof:
    """That a release which passed once still answers rightly; how fast is not asked. Raises as ``require_pass``.

    Pods that have no place to start get no clients, and are none of those that have to answer.
    """
    asked = _with(release, **dict.fromkeys(GATES))
    proof = prove(stage, asked, Past(own=stage.serving.measured(release.release_id)), again=True)
    require_pass(stage, proof)
    return proof


def remember(stage: Stage, proof: Proof, owner: str) -> None:
    """With the release, for the tests that follow. Raises Conflict where another run owns the record."""
    now = proof.measured(stage.clock.now())
    stage.serving.remember(proof.release.release_id, latest(proof.past.own, now), owner)


def _with(release: Release, **gates: Any) -> Release:
    return replace(release, smoke=replace(release.smoke, **gates))


def _round(stage: Stage, release: Release, before: Past, *, again: bool) -> Proof:
    pods = (p for p in stage.serving.pods(release.release_id) if not (again and p.unplaced))
    compared = not again or bool(before.own and before.own.fingerprint)
    seen = [_ask(stage, release, p, compared=compared) for p in pods]
    # A pod that ends by our very question says so only afterwards.
    ended = {s.uid: s.failure for s in seen if s.failure}
    ended |= {p.uid: p.failure for p in stage.serving.pods(release.release_id) if p.failure}
    if ended:
        keep_log(stage, release.release_id)
        said = stage.serving.log_tail(release.release_id, LOG_LINES)
        seen = [_ended(s, ended[s.uid], said) if s.uid in ended else s for s in seen]
    held_against = _first_of_all(seen, before)
    return Proof(release, tuple(judge(release, stage.root(release), s, held_against) for s in seen), before)


def _ended(seen: Seen, why: str, said: str) -> Seen:
    lines = tuple(line for line in said.splitlines() if line.strip())[-SHOWN_LINES:]
    return replace(seen, failure=f"{why}; last it said: {last_words(said)}", last_lines=lines)


def _first_of_all(seen: Sequence[Seen], before: Past) -> Past:
    """Of a release that was never tested the first pod is what the others must be like."""
    first = next((s.fingerprint for s in seen if s.fingerprint), None)
    if len(seen) == 1 or first is None or (before.own and before.own.fingerprint):
        return before
    return replace(before, own=Measured(at=0.0, fingerprint=first))


def _ask(stage: Stage, release: Release, pod: Pod, *, compared: bool) -> Seen:
    """One pod's answers; what an earlier one has shown to be pointless is not asked. ``compared``: its fingerprint."""
    seen = Seen(uid=pod.uid, name=pod.name or pod.uid, release_id=pod.release_id)
    if pod.url is None or not pod.ready:
        return seen
    name, smoke, chat = release.serving.served_name, release.smoke, stage.chat
    seen = replace(seen, healthy=chat.healthy(pod.url), roots=chat.models(pod.url))
    if name not in seen.roots:
        return replace(seen, denied=not seen.roots and chat.denies(pod.url))
    plain = chat.complete(pod.url, name, smoke)
    streamed = chat.stream(pod.url, name, smoke) if plain.done else None
    seen = replace(seen, plain=plain, streamed=streamed, device=stage.serving.device_seen(pod.uid))
    if not (compared and streamed and streamed.done):
        return replace(seen, no_fingerprint="it was not asked for one")
    return _traced(stage, seen, pod.url, name)


def _traced(stage: Stage, seen: Seen, url: str, name: str) -> Seen:
    """With its fingerprint. A vLLM that cannot compile what it needs for it ends, and its node starts it again.

    Seen on vLLM 0.32 for CPUs in an image without a compiler. What any client's question ends is fit for none.
    """
    found, why = stage.chat.fingerprint(url, name)
    if found is None and not stage.chat.healthy(url):
        return replace(seen, failure=f"it no longer answers since it was asked for logprobs ({why})")
    return replace(seen, fingerprint=found, no_fingerprint=why)
