"""What happened, what serves now and what to do next: sentences for a person who was woken by them."""

from steps.contracts import CHECKSUM, DEPLOY, MIRROR, POPULATE, PREFLIGHT, PROMOTE, RESOLVE, ROLLBACK, SMOKE
from steps.core.account import Account
from steps.core.amounts import seconds
from steps.core.outcome import GOOD, Outcome
from steps.core.way_on import after_failure, command

HEADLINES: dict[Outcome, str] = {
    "promoted": "promoted",
    "live": "already live",
    "refused": "refused",
    "failed": "failed",
    "rolled-back": "rolled back",
    "rollback-failed": "rollback failed: a person is needed",
}
STAGES = {
    RESOLVE.name: "while it was looked up",
    PREFLIGHT.name: "in the checks before its start",
    MIRROR.name: "while it was copied to the store",
    POPULATE.name: "while it was brought to the volume",
    CHECKSUM.name: "while its bytes were checked",
    DEPLOY.name: "while it started",
    SMOKE.name: "in its smoke test",
    PROMOTE.name: "while clients were moved to it",
}
"""What is done with a release in each step."""


def summary(account: Account) -> str:
    """One line: what happened, why, and what serves now."""
    why = f" ({account.failed_step}): {account.failure.rstrip('. ')}" if account.failed_step else _why(account)
    log = f"; what its model server said is kept at {account.server_log}" if account.server_log else ""
    notes = "".join(f"; note: {said}" for said in account.noticed)
    cost = f"; {said}" if (said := outage(account)) else ""
    return f"{headline(account)}{why}; {serves(account)}{cost}{log}{notes}"


def headline(account: Account) -> str:
    """The outcome in words."""
    if account.outcome == "promoted" and account.by_hand:
        return "rolled back by hand"
    if account.repaired:
        return "repaired"
    if account.outcome == "rollback-failed" and not _tried_to_go_back(account):
        return "ended before it was rolled back"
    return HEADLINES[account.outcome]


def verdict(account: Account) -> str:
    """What became of what was asked for, in one plain sentence; what serves now is another one."""
    who = about(account)
    match account.outcome:
        case "promoted":
            return _well(account, who)
        case "live":
            return f"{who} was live already: nothing was changed."
        case "refused" | "failed":
            word = "was refused" if account.outcome == "refused" else "failed"
            return f"{who} {word} {_stage(account)}{_before_deploy(account)}."
        case "rolled-back" if account.removed:
            return f"{who} failed {_stage(account)} and was taken away again: there was nothing to go back to."
        case "rolled-back":
            return f"{who} failed {_stage(account)} and was rolled back."
        case "rollback-failed":
            how = "failed, and its rollback failed" if _tried_to_go_back(account) else "was cut off in the middle"
            return f"{who} {how}: a person is needed now."


def about(account: Account) -> str:
    """What the run was to bring into service."""
    return str(account.release) if account.release else f"{account.model} {account.revision}".strip() or "The run"


def serves(account: Account) -> str:
    """What clients get now, and whether it is what they had."""
    if not account.record_known:
        return "what serves now could not be read"
    if account.outcome == "rollback-failed" and (account.phase != "idle" or account.answers is not False):
        return f"what serves at {account.url or account.deployment} is not certain"
    if account.live is None:
        return f"nothing serves{', and what this run created is removed' if account.removed else ''}"
    where = f" at {account.url}" if account.url else ""
    if account.answers is False:
        return f"nothing serves{where} now: {account.live} should, and no server of it is ready{_under_way(account)}"
    if _about_live(account) and account.outcome in ("refused", "failed"):
        return f"{account.live} is what should serve{where}: see that it answers{_under_way(account)}"
    return f"{_who(account)} serves{where}{_tail(account)}"


def outage(account: Account) -> str:
    """What it cost clients; empty where that is nothing, or is not over."""
    if account.outage_seconds is None:
        known = account.outcome == "rollback-failed" or not account.record_known
        return "" if known else "how long clients had no answer is not known"
    return f"clients had no answer for {seconds(account.outage_seconds)}" if account.outage_seconds else ""


def advice(account: Account) -> tuple[str, ...]:
    """What to do next, the first thing first; each a command or a sentence."""
    if account.outcome == "rollback-failed" and not _tried_to_go_back(account):
        return (f"bring back what served: {command(account, 'reconcile')}",)
    if account.outcome == "rollback-failed":
        return (f"see what serves: {command(account, 'status')}", _after_failed_rollback(account))
    if account.outcome in GOOD:
        return _after_promotion(account) if account.outcome == "promoted" else ()
    if account.refused and account.release:
        allow = command(account, "allow", f"--release {account.release.release_id}")
        return (f"the same release is not tried again until you allow it: {allow}",)
    return after_failure(account)


def _well(account: Account, who: str) -> str:
    if account.by_hand:
        return f"{account.deployment} was rolled back by hand to {who}."
    if account.repaired:
        return f"{who} was repaired: it was live before and was started again."
    proved = any(line.step == SMOKE.name and line.exit_code == 0 for line in account.lines)
    return f"{who} {'passed its tests and ' if proved else ''}was promoted."


def _stage(account: Account) -> str:
    step = account.failed_step.partition("(")[0]  # of several side by side each has a name
    return STAGES.get(step, f"in {step}" if step else "before it came to its end")


def _before_deploy(account: Account) -> str:
    """Nothing where no step of the run is known."""
    deployed = any(line.step == DEPLOY.name for line in account.lines)
    return "" if deployed or not account.lines else ", before anything was deployed"


def _tried_to_go_back(account: Account) -> bool:
    """Not where the run was terminated, or killed: then nothing has failed yet, and anybody may put it right."""
    return any(line.step == ROLLBACK.name for line in account.lines)


def _why(account: Account) -> str:
    return f": {account.failure.rstrip('. ')}" if account.failure else ""


def _about_live(account: Account) -> bool:
    """The run was to repair what is live."""
    return account.release is not None and account.release == account.live


def _who(account: Account) -> str:
    if account.outcome in ("refused", "failed", "rolled-back"):
        return f"what served before ({account.live})"
    return str(account.live)


def _tail(account: Account) -> str:
    match account.outcome:
        case "refused" | "failed":
            untouched = account.phase == "idle" and account.outage_seconds is not None and bool(account.lines)
            return ", untouched" if untouched else _under_way(account)
        case "rolled-back":
            return " again"
        case "live":
            return "; nothing was changed"
    return ""


def _under_way(account: Account) -> str:
    """Work of somebody else: what serves may not stay so."""
    return f"; other work is under way ({account.phase})" if account.phase != "idle" else ""


def _after_promotion(account: Account) -> tuple[str, ...]:
    asked = f"ask it: curl {account.url}/v1/models" if account.url else ""
    back = ""
    if account.previous and not account.previous_refused:
        back = f"go back to {account.previous}: {command(account, 'rollback')}"
    return tuple(filter(None, (asked, back)))


def _after_failed_rollback(account: Account) -> str:
    if account.phase != "idle" or not account.record_known:
        return f"mend what the sentence names, then bring back what served: {command(account, 'reconcile')}"
    go_back = command(account, "rollback", "--to RELEASE")
    return f"then promote what should serve, or go back to another release: {go_back}"
