"""Prove a release by talking to each of its pods: right weights, right answers, fast enough, on the right device."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from steps.core.evidence import Proof
from steps.core.release import Release
from steps.core.verdict import Seen, judge, last_words
from steps.errors import Failed, Transient
from steps.pods import LOG_LINES, keep_log
from steps.ports.serving import Pod
from steps.stage import Stage

PAUSE_SECONDS = 1.0
"""Before asking again what was not answered."""

log = logging.getLogger(__name__)


def name_pods(pods: Sequence[Pod]) -> str:
    """In the form of ``Proof.pods``, to see whether a proof is about these."""
    return ",".join(sorted(p.uid for p in pods))


def prove(stage: Stage, release: Release) -> Proof:
    """Ask until it is known, at most as long as one request may take; inconclusive when it still is not."""
    until = stage.clock.now() + stage.patience.request
    while True:
        proof = _round(stage, release)
        if proof.result != "inconclusive" or stage.clock.now() >= until:
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
    """That a release which passed once still answers rightly; how fast is not asked. Raises as ``require_pass``."""
    ungated = replace(release.smoke, max_first_token_seconds=None, min_tokens_per_second=None)
    proof = prove(stage, replace(release, smoke=ungated))
    require_pass(stage, proof)
    return proof


def _round(stage: Stage, release: Release) -> Proof:
    seen = [_ask(stage, release, p) for p in stage.serving.pods(release.release_id)]
    # A pod that ends by our very question says so only afterwards.
    ended = {p.uid: p.failure for p in stage.serving.pods(release.release_id) if p.failure}
    if ended:
        keep_log(stage, release.release_id)
        words = last_words(stage.serving.log_tail(release.release_id, LOG_LINES))
        seen = [replace(s, failure=f"{ended[s.uid]}; last it said: {words}") if s.uid in ended else s for s in seen]
    return Proof(release, tuple(judge(release, stage.root(release), s) for s in seen))


def _ask(stage: Stage, release: Release, pod: Pod) -> Seen:
    """One pod's answers; what an earlier one has shown to be pointless is not asked."""
    seen = Seen(uid=pod.uid, release_id=pod.release_id)
    if pod.url is None or not pod.ready:
        return seen
    name, smoke, chat = release.serving.served_name, release.smoke, stage.chat
    seen = replace(seen, healthy=chat.healthy(pod.url), roots=chat.models(pod.url))
    if name not in seen.roots:
        return replace(seen, denied=not seen.roots and chat.denies(pod.url))
    plain = chat.complete(pod.url, name, smoke)
    streamed = chat.stream(pod.url, name, smoke) if plain.done else None
    return replace(seen, plain=plain, streamed=streamed, device=stage.serving.device_seen(pod.uid))
