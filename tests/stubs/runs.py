"""Runs as an engine records them, for what reads runs: the follower, the account, the page."""

from dataclasses import fields, replace
from typing import Any

from steps.core.account import Named
from steps.core.history import Entry
from steps.core.run import Attempt, Node, Phase, Run

START = 1_795_320_000.0
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLD = Named(release_id="0ddba11c0ffe", model="org/chat", commit="f" * 40)
NEW = Named(release_id="ab12ab12ab12", model="org/chat", commit=COMMIT)
NAMES = {OLD.release_id: OLD, NEW.release_id: NEW}
RESOLVED = {"deployment": "chat", "release_id": NEW.release_id, "model": "org/chat", "commit": COMMIT}


def attempt(
    number: int = 0, code: int | None = 0, message: str = "", *, at: float = 0.0, seconds: float = 2.0
) -> Attempt:
    """``at`` in seconds since the run began; a code of None is an attempt that runs."""
    phase: Phase = "Running" if code is None else "Failed" if code else "Succeeded"
    started = START + at
    finished = None if code is None else started + seconds
    return Attempt(number=number, phase=phase, started=started, finished=finished, exit_code=code, message=message)


def done(name: str, at: float = 0.0, seconds: float = 2.0, **outputs: str) -> Node:
    return Node(name=name, phase="Succeeded", attempts=(attempt(at=at, seconds=seconds),), outputs=outputs)


def failed(name: str, code: int, message: str, at: float = 0.0) -> Node:
    return Node(name=name, phase="Failed", attempts=(attempt(code=code, message=message, at=at),))


def run(*nodes: Node, phase: Phase = "Running", message: str = "", **parameters: str) -> Run:
    given = {"model": "org/chat", "revision": "main", "deployment": "chat", **parameters}
    return Run(
        name="promote-20261122-030405-ab12",
        uid="promote-20261122-030405-ab12",
        template="vllm-promote",
        parameters=given,
        phase=phase,
        started=START,
        finished=None if phase == "Running" else START + 60,
        message=message,
        nodes=nodes,
    )


def on_exit(node: Node) -> Node:
    return replace(node, on_exit=True)


def resolved() -> Node:
    return done("resolve", at=0, seconds=1.2, **RESOLVED)


def promoted(phase: Phase = "Running") -> Run:
    """A good run, as its report sees it."""
    return run(
        resolved(),
        done("preflight", at=1.2, seconds=0.8, state="new", previous_model="org/chat", previous_commit="f" * 40),
        done("mirror", at=1.2, seconds=12.5, copied_bytes="269000000", reused_bytes="0", volume_bytes="269000000"),
        done("populate", at=13.7, seconds=3.1),
        done("checksum", at=16.8, seconds=1.4),
        done("deploy", at=18.2, seconds=31.0, startup_seconds="30.4"),
        done("smoke", at=49.2, seconds=3.3, proof="pod-1"),
        done("promote", at=52.5, seconds=0.9, outage_seconds="33.714"),
        Node(name="rollback", phase="Skipped", on_exit=True),
        phase=phase,
    )


def rolled_back(outcome: str = "rolled-back", phase: Phase = "Running") -> Run:
    """Smoke found nonsense; the exit handler brought the old one back."""
    whole = promoted(phase)
    wrong = "Failed: pod-1 answered 'banana banana' where 'Paris' must occur; see .local/serving/chat for its log"
    return replace(
        whole,
        nodes=(
            *whole.nodes[:6],
            Node(
                name="smoke",
                phase="Failed",
                attempts=(attempt(0, 75, "Transient: cut", at=49), attempt(1, 16, wrong, at=52)),
            ),
            Node(name="promote", phase="Omitted", message="omitted: depends condition not met"),
            on_exit(done("rollback", at=60, seconds=31.0, outcome=outcome, outage_seconds="73.2")),
        ),
    )


def past(name: str, **known: Any) -> Entry:
    """An entry of the history of which only so much is known."""
    nothing: dict[str, Any] = dict.fromkeys(f.name for f in fields(Entry))
    return Entry(**{**nothing, "by_hand": False, "run": name, "deployment": "chat", "model": "org/chat", **known})
