"""Accounts of runs that ended in each way there is: what the page of a report is made from."""

from dataclasses import replace
from typing import Any

from steps.core.account import Account, Surroundings, draw_up
from steps.core.evidence import FIRST, Proof
from steps.core.fingerprint import Fingerprint, Token
from steps.core.measured import Measured
from steps.core.record import Record
from steps.core.release import Release, Smoke
from steps.core.run import Run
from steps.core.verdict import Past, Seen, judge
from steps.ports.chat import Answer
from tests.stubs.chat import GOOD, nothing
from tests.stubs.runs import NAMES, NEW, OLD, done, failed, on_exit, promoted, resolved, rolled_back, run
from tests.stubs.scene import make_release

URL = "http://chat.models.svc:8000"
RELEASE = replace(make_release("a"), smoke=Smoke(max_first_token_seconds=2.0, min_tokens_per_second_of_live=0.8))
ROOT = f"/models/org--chat/{'a' * 40}"
BLUE = Fingerprint((Token(" of", -0.2, ((" of", -0.2), (" the", -2.0))), Token(" light", -1.1, ((" light", -1.1),))))
PAST = Past(
    own=Measured(at=1.0, fingerprint=BLUE, fingerprinted=1_795_000_000.0),
    live=Measured(at=1.0, first_token_seconds=0.42, tokens_per_second=3.1),
)
SEEN = Seen(
    uid="6a4f2f6e-1f70-4a57-9a3c-0c3f5b1e7f10",
    name="chat-5c9d8f7b6d-x2x4q",
    release_id=RELEASE.release_id,
    healthy=True,
    roots={"tiny": ROOT},
    plain=GOOD,
    streamed=GOOD,
    fingerprint=BLUE,
    device="cpu",
)
BACK = Surroundings(record=Record(live=OLD.release_id, refused=(NEW.release_id,)), names=NAMES, url=URL, answers=True)
NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template"
)
LOG = (
    "INFO 11-22 03:04:05 [core.py:93] Initializing a V1 LLM engine",
    "\x1b[36m(EngineCore pid=91)\x1b[0;0m ERROR 11-22 03:04:31 [core.py:718] EngineCore failed to start.",
    '\x1b[36m(EngineCore pid=91)\x1b[0;0m   File "/vllm/v1/worker/gpu_worker.py", line 187, in determine_memory',
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 0 has 79.1 GiB of which 1.2 are free",
)
HOSTILE = (
    "<script>alert('&')</script></td></table><img src=x onerror=alert(1)> \x1b[31mred\x00 \u202eevil\u202c "
    "\u05e9\u05dc\u05d5\u05dd \ud83d \u200b" + "A" * 5000
)


def proof(release: Release = RELEASE, past: Past = FIRST, **seen: Any) -> Any:
    """The evidence on one pod that showed what is good, but for ``seen``."""
    return Proof(release, (judge(release, ROOT, replace(SEEN, **seen), past),), past).to_json()


def rolled(**seen: Any) -> Account:
    """A candidate that failed its smoke test by what was seen, and was rolled back."""
    evidence = proof(past=PAST, **seen)
    said = f"Failed: release {NEW.release_id} of chat failed its test: {evidence['sentence']}"
    whole = rolled_back()
    nodes = tuple(failed("smoke", 16, said, at=52) if n.name == "smoke" else n for n in whole.nodes)
    return replace(draw_up(replace(whole, nodes=nodes), BACK), evidence=evidence)


def with_log(account: Account) -> Account:
    key = f"reports/{account.run}/server-{NEW.release_id}.log"
    return replace(account, server_log=key, server_log_uri=f"s3://models/{key}", server_said=LOG)


def _ended(whole: Run, around: Surroundings = BACK) -> Account:
    return draw_up(whole, around)


def _slow() -> Answer:
    return replace(GOOD, first_token_seconds=4.2, seconds=9.0)


def _up_to_deploy(*more: Any) -> Run:
    before = promoted().nodes[:5]
    return run(*before, *more)


ACCOUNTS: dict[str, Account] = {
    "promoted": replace(
        draw_up(
            promoted(),
            replace(BACK, record=Record(live=NEW.release_id, previous=OLD.release_id)),
        ),
        evidence=proof(past=PAST),
    ),
    "live": _ended(run(resolved(), done("preflight", state="live")), replace(BACK, record=Record(live=NEW.release_id))),
    "wrong weights": rolled(roots={"tiny": f"/models/org--chat/{'b' * 40}"}),
    "wrong answer": with_log(rolled(plain=replace(GOOD, text="The capital of France is Lyon."))),
    "no chat template": rolled(plain=replace(nothing(400, "is HTTP 400"), text=NO_TEMPLATE), streamed=None),
    "degenerate text": rolled(plain=replace(GOOD, text="!" * 300), streamed=None),
    "too slow": rolled(streamed=_slow()),
    "wrong device": rolled(device="cuda"),
    "server died": with_log(
        rolled(failure="ended with exit code 139", last_lines=LOG, streamed=None, healthy=False, fingerprint=None)
    ),
    "died while it started": with_log(
        _ended(
            _up_to_deploy(
                failed("deploy", 16, f"Failed: release {NEW.release_id} of chat ended while it started: {LOG[-1]}", 18),
                on_exit(done("rollback", at=30, seconds=31.0, outcome="rolled-back", outage_seconds="73.2")),
            )
        )
    ),
    "checksum failed": _ended(
        run(
            *promoted().nodes[:4],
            failed("checksum", 13, "Corrupt: 2 of 18 files differ from the manifest: model-00003.safetensors (sha256)"),
            on_exit(done("rollback", at=20, outcome="nothing")),
        ),
        replace(BACK, record=Record(live=OLD.release_id)),
    ),
    "refused": _ended(
        run(resolved(), failed("preflight", 11, f"Refused: release {NEW.release_id} has failed its test before", at=2)),
    ),
    "nothing serves": replace(
        draw_up(rolled_back("removed"), replace(BACK, record=Record(refused=(NEW.release_id,)))),
        evidence=proof(plain=replace(GOOD, text="banana")),
    ),
    "no server is ready": _ended(promoted(), replace(BACK, record=Record(live=NEW.release_id), answers=False)),
    "rollback failed": _ended(
        run(
            *promoted().nodes[:6],
            failed("smoke", 16, "Failed: wrong answer", at=49),
            on_exit(failed("rollback", 17, "RollbackFailed: no GPU is free for what served before", at=60)),
        ),
        replace(BACK, record=Record(phase="rolling-back", live=OLD.release_id, owner="promote-20261122-030405-ab12")),
    ),
    "nothing is known": _ended(run(), Surroundings()),
    "hostile": with_log(
        replace(
            rolled(
                plain=replace(GOOD, text=HOSTILE[:400], finish_reason=HOSTILE),
                streamed=replace(GOOD, text=HOSTILE, problem=HOSTILE, done=False),
                roots={HOSTILE: HOSTILE, "tiny": HOSTILE},
                failure=HOSTILE,
                last_lines=(HOSTILE,),
                device=HOSTILE,
            ),
            failure=HOSTILE,
            noticed=(HOSTILE,),
            server_said=(HOSTILE,),
        )
    ),
}
"""By how they ended."""
