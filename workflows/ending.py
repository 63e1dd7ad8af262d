"""The last words of a command that followed a run: what happened, why, what serves, where to look, what to do."""

from collections.abc import Sequence

from steps import report
from steps.clients import serving
from steps.contracts import REPORT
from steps.core.account import Account, Surroundings
from steps.core.names import check_deployment
from steps.core.run import Run
from steps.core.words import advice, headline, outage, serves
from steps.errors import StepError
from steps.settings import Settings
from workflows.checkout import pasteable
from workflows.command import say


def surroundings(run: Run, settings: Settings, flag: str) -> Surroundings:
    """What is true once it is over; a record that cannot be read is said to be so."""
    deployment = run.output("resolve", "deployment") or run.parameters.get("deployment", "")
    try:
        return report.look(run, serving.connect(settings, check_deployment(deployment)), flag)
    except StepError as err:
        say(f"the record of {deployment or 'its deployment'} could not be read: {err}")
        return Surroundings(flag=flag)


def last_words(account: Account, run: Run, places: Sequence[str]) -> str:
    """The first line says the outcome; ``places`` are where more can be seen."""
    rows = (
        ("why", account.failure),
        ("serves", serves(account)),
        ("report", "" if account.record_known else run.output(REPORT.name, "summary")),
        ("outage", outage(account)),
        *(("note", said) for said in account.noticed),
        *(("look at", place) for place in places),
        *(("next", pasteable(item)) for item in advice(account)),
    )
    step = f" ({account.failed_step})" if account.failed_step else ""
    return "\n".join((f"{headline(account)}{step}", *(f"  {label:<9}{text}" for label, text in rows if text)))
