"""What is done next, from the record alone: by a step that wants a release served, by whoever puts right what was left.

                  idle          swapping, testing    draining      repairing        rolling-back
own work          begin         continue             finish        repair           recover
                  settled       (Failed: refused)
another's, dead   -             recover              recover       recover          recover
another's, alive  -             Conflict             Conflict      Conflict         Conflict

recovery          nothing       undo                 complete      leave            undo
"""

from typing import Literal

from steps.core.guards import check_allowed, how_to_allow
from steps.core.record import Record
from steps.errors import Conflict, Failed

Course = Literal["begin", "continue", "finish", "repair", "settled", "recover"]
"""What a step that wants a release served does first.

* begin: nothing is in flight
* continue: an earlier step or attempt of this owner began to bring it in
* finish: this owner moved the pointer already; the old release is to be drained
* repair: this owner began to repair it
* settled: it is live and nothing is in flight; where it is unhealthy, repair it
* recover: there is unfinished work to complete or roll back before anything else
"""

Recovery = Literal["nothing", "undo", "complete", "leave"]
"""How unfinished work is put right, once it is one's own or its owner is dead.

* nothing: there is none
* undo: clients are still with the live release, which is brought back where room was made; the candidate ends
* complete: clients follow the new release already, so only the old one's end is wanting
* leave: the live release was to be started again in its place, and there is nothing to go back to; where its repair has
  only ended it so far, it is started
"""


def choose(deployment: str, record: Record, release_id: str, owner: str, *, abandoned: bool) -> Course:
    """``abandoned`` is ``is_abandoned`` of the same record. Raises Conflict, Refused; Failed after its own refusal."""
    if record.phase == "idle":
        if record.live == release_id:
            return "settled"
        check_allowed(deployment, record, release_id)
        return "begin"
    if record.owner == owner:
        return _course_of_own_work(deployment, record, release_id)
    if abandoned:
        return "recover"
    raise Conflict(_in_flight(deployment, record))


def _course_of_own_work(deployment: str, record: Record, release_id: str) -> Course:
    match record.phase:
        case "draining" if record.live == release_id:
            return "finish"
        case "repairing" if record.live == release_id:
            return "repair"
        case "swapping" | "testing" if record.candidate == release_id:
            if release_id in record.refused:
                raise Failed(
                    f"release {release_id} has failed in this run already; {how_to_allow(deployment, release_id)}"
                )
            return "continue"
        case _:
            return "recover"


def recovery(record: Record) -> Recovery:
    match record.phase:
        case "idle":
            return "nothing"
        case "draining":
            return "complete"
        case "repairing":
            return "leave"
        case _:
            return "undo"


def is_abandoned(record: Record, *, owner_alive: bool, now: float) -> bool:
    """Whether work is in flight that its owner will not finish: it is dead, or past its deadline."""
    late = record.deadline is not None and now > record.deadline
    return record.phase != "idle" and (late or not owner_alive)


def _in_flight(deployment: str, record: Record) -> str:
    return (
        f"run {record.owner} is {record.phase} release {record.candidate or record.live} of {deployment}; "
        "wait until it has ended, or stop it"
    )
