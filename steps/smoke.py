"""Prove that the right weights answer, on every pod of the candidate, and keep the evidence."""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from steps.candidate import ensure, refused_when_failed, started_release
from steps.contracts import ANY, SMOKE, SmokeInputs, SmokeOutputs
from steps.core import canonical
from steps.core.evidence import Proof
from steps.core.names import Layout
from steps.core.release import Release
from steps.entry import run_step
from steps.errors import StepError
from steps.ports.store import Store
from steps.proof import examine, remember, require_pass
from steps.recovery import settle
from steps.redaction import redact_all
from steps.settings import Settings
from steps.stage import Stage, connect

EVIDENCE = "smoke.json"

log = logging.getLogger(__name__)


def smoke(
    inputs: SmokeInputs, stage: Stage, release: Release, store: Callable[[], Store], layout: Layout
) -> SmokeOutputs:
    """Raises Failed, after refusing the candidate, or Transient where nothing could be concluded."""
    held = settle(stage, release, inputs.owner, inputs.served)
    up = ensure(stage, held, release, inputs.owner, inputs.proved_commit)
    with refused_when_failed(stage, up.held, inputs.owner):
        proof = examine(stage, up.held.record, up.release, by_hand=inputs.proved_commit == ANY)
        keep(store, layout.report(inputs.run, EVIDENCE), proof)
        require_pass(stage, proof)
    tell(proof)
    if up.held.record.owner == inputs.owner:
        remember(stage, proof, inputs.owner)
    return SmokeOutputs(
        proof=proof.pods,
        first_token_seconds=proof.first_token_seconds,
        tokens_per_second=proof.tokens_per_second,
        noticed="; ".join(proof.notices),
    )


def tell(proof: Proof) -> None:
    for said in proof.notices:
        log.warning("%s", said)


def keep(store: Callable[[], Store], key: str, proof: Proof) -> None:
    """Whatever is wrong with the store does not change what was seen: neither a pass nor a refusal waits for it.

    A server's last lines may hold a key that it was started with.
    """
    try:
        store().put(key, canonical.dump(redact_all(proof.to_json(), os.environ)))
    except StepError as err:
        log.warning("the evidence is not kept at %s: %s; it said: %s", key, err, proof.sentence)


def main(inputs: SmokeInputs, settings: Settings) -> SmokeOutputs:
    from steps.clients import store

    stage, layout = connect(settings, inputs.deployment, inputs.run), Layout(settings.prefix)
    documents = partial(store.connect, settings)
    return smoke(inputs, stage, started_release(stage, documents, layout, inputs.release_id), documents, layout)


if __name__ == "__main__":
    sys.exit(run_step(SMOKE, main))
