"""The table: every way in which a run may go, as far as its engine has a say in it."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import Any

from steps.contracts import CHECKSUM, DEPLOY, MIRROR, POPULATE, PREFLIGHT, PROMOTE, RESOLVE, SMOKE
from steps.core.installed import ROLLBACK_TEMPLATE
from steps.step import Step
from tests.cluster.scripted.scenario import GOOD, KILLED, WAITS, Interruption, Part, Scenario, fails

FLOW: tuple[Step[Any, Any], ...] = (RESOLVE, PREFLIGHT, MIRROR, POPULATE, CHECKSUM, DEPLOY, SMOKE, PROMOTE)
CODES = {
    "resolve": 10,
    "preflight": 11,
    "mirror": 12,
    "populate": 15,
    "checksum": 13,
    "deploy": 16,
    "smoke": 16,
    "promote": 14,
}
"""How each step likes to fail."""
WAITS_IN_VAIN = Scenario(name="fails-at-leisure", script={"resolve": (fails(10),)}, retry_base_seconds=8.0)
LIVE = Part(outputs={"state": "live"})
SHARED_OUT = Part(outputs={"shards": '["1-of-3","2-of-3","3-of-3"]'})
"""A model so large that three pods fetch it."""
SECOND = "2-of-3"


def scenarios() -> Iterator[Scenario]:
    yield Scenario(name="good")
    yield Scenario(name="live-already", script={"preflight": (LIVE,)})
    yield from _failures()
    yield from _attempts()
    yield from _exit_handlers()
    yield from _interruptions()
    yield from _second_lives()
    yield from _shared_out()
    yield Scenario(name="back-by-hand", template=ROLLBACK_TEMPLATE)
    yield Scenario(name="back-by-hand-smoke-fails", template=ROLLBACK_TEMPLATE, script={"smoke": (fails(16),)})


def _failures() -> Iterator[Scenario]:
    for step, code in CODES.items():
        yield Scenario(name=f"{step}-fails", script={step: (fails(code),)})
    yield WAITS_IN_VAIN
    yield Scenario(name="bug", script={"mirror": (fails(1),)})
    yield Scenario(name="unknown-flag", script={"populate": (fails(2),)})
    yield Scenario(name="without-a-word", script={"checksum": (Part(code=12),)})


def _attempts() -> Iterator[Scenario]:
    yield Scenario(name="each-transient-once", script={s.name: (fails(75), GOOD) for s in FLOW})
    yield Scenario(name="each-killed-once", script={s.name: (KILLED, GOOD) for s in FLOW})
    losing = {s.name: (Part(lost=lost), GOOD) for s in FLOW if (lost := _required_output(s))}
    yield Scenario(name="each-output-lost-once", script=losing)
    yield Scenario(name="output-not-required", script={"smoke": (Part(lost="proof"),)})
    yield Scenario(name="resolve-transient-for-ever", script={"resolve": (fails(75),)})
    yield Scenario(name="deploy-transient-for-ever", script={"deploy": (fails(75),)})
    yield Scenario(name="smoke-killed-for-ever", script={"smoke": (KILLED,)})
    yield Scenario(name="deploy-output-lost-for-ever", script={"deploy": (Part(lost="startup_seconds"),)})
    yield Scenario(name="transient-then-final", script={"deploy": (fails(75), fails(16))})
    yield Scenario(name="at-its-deadline", script={"mirror": (WAITS, GOOD)}, deadlines={"mirror": 20})
    pod = Interruption("populate", "delete pod")
    yield Scenario(name="pod-deleted", script={"populate": (WAITS, GOOD)}, interruption=pod)


def _exit_handlers() -> Iterator[Scenario]:
    yield Scenario(name="rollback-fails", script={"smoke": (fails(16),), "rollback": (fails(17),)})
    yield Scenario(name="rollback-at-second-try", script={"smoke": (fails(16),), "rollback": (fails(75), GOOD)})
    yield Scenario(name="rollback-transient-for-ever", script={"deploy": (fails(16),), "rollback": (fails(75),)})
    yield Scenario(name="report-fails-a-good-run", script={"report": (fails(1),)})
    yield Scenario(name="report-at-second-try", script={"report": (fails(75), GOOD)})


def _interruptions() -> Iterator[Scenario]:
    for step in FLOW:
        for deed in ("Stop", "Terminate"):
            name = f"{'stopped' if deed == 'Stop' else 'terminated'}-at-{step.name}"
            yield Scenario(name=name, script={step.name: (WAITS,)}, interruption=Interruption(step.name, deed))
    after = {"smoke": (fails(16),), "rollback": (Part(seconds=15.0),)}
    yield Scenario(name="stopped-at-rollback", script=after, interruption=Interruption("rollback", "Stop"))
    waiting = {"smoke": (fails(16),), "rollback": (WAITS,)}
    yield Scenario(name="terminated-at-rollback", script=waiting, interruption=Interruption("rollback", "Terminate"))
    unlucky = {"deploy": (WAITS,), "rollback": (fails(75), GOOD)}
    stop = Interruption("deploy", "Stop")
    yield Scenario(name="rollback-after-stop-gets-no-second-try", script=unlucky, interruption=stop)
    yield Scenario(
        name="stopped-and-deaf",
        script={"mirror": (Part(seconds=25.0, deaf=True),)},
        interruption=Interruption("mirror", "Stop"),
    )


def _second_lives() -> Iterator[Scenario]:
    for step in ("resolve", "mirror", "deploy", "promote"):
        yield Scenario(name=f"{step}-fails-then-retried", script={step: (fails(CODES[step]),)}, again={})
    yield Scenario(
        name="fails-again", script={"mirror": (fails(12),)}, again={"mirror": (fails(75), GOOD), "smoke": (fails(16),)}
    )
    yield Scenario(
        name="rollback-failed-then-retried", script={"smoke": (fails(16),), "rollback": (fails(17),)}, again={}
    )
    for deed in ("Stop", "Terminate"):
        name = f"{'stopped' if deed == 'Stop' else 'terminated'}-then-retried"
        yield Scenario(name=name, script={"deploy": (WAITS,)}, interruption=Interruption("deploy", deed), again={})
    yield Scenario(name="report-failed-then-retried", script={"report": (fails(1),)}, again={})


def _shared_out() -> Iterator[Scenario]:
    """What follows is begun when all of them have ended well, however one of them has come there."""
    resolve = {"resolve": (SHARED_OUT,)}
    second = {code: replace(fails(code), only=SECOND) for code in (12, 75)}
    yield Scenario(name="shares-good", script=resolve)
    yield Scenario(name="shares-live-already", script={**resolve, "preflight": (LIVE,)})
    yield Scenario(name="shares-one-fails", script={**resolve, "mirror": (second[12],)})
    yield Scenario(name="shares-all-fail", script={**resolve, "mirror": (fails(12),)})
    yield Scenario(name="shares-one-transient-once", script={**resolve, "mirror": (second[75], GOOD)})
    yield Scenario(name="shares-each-killed-once", script={**resolve, "mirror": (KILLED, GOOD)})
    for deed in ("Stop", "Terminate"):
        name = f"shares-{'stopped' if deed == 'Stop' else 'terminated'}"
        yield Scenario(name=name, script={**resolve, "mirror": (WAITS,)}, interruption=Interruption("mirror", deed))
    yield Scenario(name="shares-one-fails-then-retried", script={**resolve, "mirror": (second[12],)}, again={})
    later = Scenario(name="shares-then-smoke-fails-and-is-retried", script={**resolve, "smoke": (fails(16),)}, again={})
    yield later  # before 4.1 Argo waits for ever for a group that it has reset and whose runs were all kept
    nonsense = Part(outputs={"shards": "no list"})
    yield Scenario(name="shares-that-are-no-list", script={"resolve": (nonsense,)})
    yield Scenario(name="shares-of-nothing", script={"resolve": (Part(outputs={"shards": "[]"}),)})


def _required_output(step: Step[Any, Any]) -> str:
    """Empty where it has none."""
    return next((f.name for f in fields(step.outputs) if f.default is MISSING), "")


TABLE = {scenario.name: scenario for scenario in scenarios()}
