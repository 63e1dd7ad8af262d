"""Go on from the demo: what happens to a better model, to a bad one, and to bytes that changed: `make tour`.

Each stage says what it proved, and ends the tour when it could not. It may be taken again: it begins with the first
version and ends with the second.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from steps.contracts import CHECKSUM, DEPLOY, POPULATE, PREFLIGHT, SMOKE
from steps.core.names import slug
from steps.errors import Corrupt, Failed, Refused, StepError
from steps.step import Step
from workflows import command, config
from workflows.command import say
from workflows.demo import ANSWER, DEPLOYMENT, QUESTION
from workflows.local.demo import client, demo_hub, tamper
from workflows.local.demo.demo_hub import DemoHub
from workflows.local.demo.shell import Report, Shell
from workflows.local.demo.smollm2 import MODEL
from workflows.local.demo.story import fact, heading
from workflows.local.demo.tamper import Bench

LAST_SHARD = "model-00003-of-00003.safetensors"


@dataclass(frozen=True)
class Tour:
    shell: Shell
    hub: DemoHub
    bench: Bench

    def promote(self, revision: str) -> Report:
        """Type it, and read the report that it leaves."""
        before = self.shell.reported()
        code = self.shell.show("workflows.promote", "--model", MODEL, "--revision", revision, "--local")
        report = self.shell.newest_report()
        if report.run in before:
            raise Failed(f"the promotion ended with {code} and left no report; its output above says why")
        return report

    def promote_again(self, revision: str) -> Report:
        """The same, with a person's leave where it failed in an earlier tour, or was rolled back by hand."""
        report = self.promote(revision)
        if report.outcome != "refused" or report.release_id not in self.shell.serving(DEPLOYMENT).refused:
            return report
        fact("it was refused before; a person can say that it may be tried again")
        release = ("--release", str(report.release_id))
        self.shell.show("workflows.allow", "--deployment", DEPLOYMENT, *release, "--local")
        return self.promote(revision)

    def serves(self, commit: str) -> None:
        """Raises Failed unless clients get the right answer, from these weights."""
        url = self.shell.serving(DEPLOYMENT).url
        if (root := client.commit(url)) != commit:
            raise Failed(f"{url} serves commit {root} where it should serve {commit}")
        if ANSWER not in (said := client.ask(url, QUESTION)):
            raise Failed(f"{url} says {said!r} where {ANSWER!r} should occur")
        proved(f"clients get {said.strip()!r} from commit {commit[:12]}")


def tour() -> int:
    """An upgrade, a model that talks nonsense, one cut short, bytes that changed: each shown, each checked."""
    settings = config.load(local=True)
    hub = demo_hub.open_in(settings.home)
    tour = Tour(Shell(settings.home), hub, tamper.bench(config.load(local=True)))
    stages: tuple[Callable[[Tour], None], ...] = (begin, upgrade, damaged, again, truncated, tampered, history)
    for stage in stages:
        stage(tour)
    heading("The tour is over: all of it was as it should be")
    return 0


def begin(tour: Tour) -> None:
    heading("Begin with the first version")
    first = tour.hub.publish("first", "v1")
    expect(tour.promote_again("v1"), "promoted", "live")
    tour.serves(first)


def upgrade(tour: Tour) -> None:
    heading("A second version appears on main, and is promoted over the first")
    commit = second(tour)
    report = expect(tour.promote_again("main"), "promoted")
    tour.serves(commit)
    proved(f"clients had no answer for {report.outage_seconds or 0:.0f} s: one machine has room for one server")


def damaged(tour: Tour) -> None:
    heading("A third one loads and talks nonsense: it is refused by its test, and the second comes back by itself")
    tour.hub.publish("damaged", "damaged")
    stopped(expect(tour.promote_again("damaged"), "rolled-back"), SMOKE, Failed)
    tour.serves(second(tour))


def again(tour: Tour) -> None:
    heading("The same once more: it failed before, so nothing is moved for it")
    report = expect(tour.promote("damaged"), "refused")
    stopped(report, PREFLIGHT, Refused)
    untouched(report)


def truncated(tour: Tour) -> None:
    heading("Weights that were cut short never get as far as a server")
    tour.hub.publish("truncated", "truncated")
    report = expect(tour.promote("truncated"), "failed")
    stopped(report, CHECKSUM, Corrupt)
    untouched(report)
    tour.serves(second(tour))


def tampered(tour: Tour) -> None:
    heading("A good version is in the store already, and there one bit of it changes")
    third = tour.hub.publish("third", "next")
    tour.bench.mirror(MODEL, "next", DEPLOYMENT)
    key = tour.bench.flip_a_bit(MODEL, third, LAST_SHARD, tour.hub.versions / "third" / LAST_SHARD)
    fact(f"changed one bit of {key}")
    report = expect(tour.promote("next"), "failed")
    tour.bench.remove(key)
    stopped(report, POPULATE, Corrupt)
    untouched(report)
    if (directory := tour.bench.config.home / "volume" / slug(MODEL) / third).exists():
        raise Failed(f"{directory} was published though its bytes are wrong")
    proved("the volume does not show it")
    tour.serves(second(tour))


def history(tour: Tour) -> None:
    heading("What happened")
    if tour.shell.show("workflows.history", "--local", "--deployment", DEPLOYMENT):
        raise Failed("the history cannot be shown; its reason is above")


def second(tour: Tour) -> str:
    """The commit that is to serve from then on; main shows it."""
    return tour.hub.publish("second", "main")


def expect(report: Report, *outcomes: str) -> Report:
    """Raises Failed for another outcome."""
    if report.outcome not in outcomes:
        raise Failed(f"run {report.run} should have ended as {' or '.join(outcomes)}, it is {report.outcome}")
    proved(f"the run ended as {report.outcome}")
    return report


def stopped(report: Report, step: Step[Any, Any], error: type[StepError]) -> None:
    """Raises Failed unless this step ended the run, and for this reason."""
    by = report.stopped_by
    if by is None or (by.step, by.exit_code) != (step.name, error.exit_code):
        raise Failed(f"run {report.run} should have been ended by {step.name} with {error.exit_code}, it was {by}")
    proved(f"{step.name} refused it with exit code {error.exit_code}")


def untouched(report: Report) -> None:
    """Raises Failed if the run came so far as to make room."""
    if DEPLOY.name in report.seconds:
        raise Failed(f"run {report.run} got as far as deploy; nothing should have been moved")
    proved("what serves was not touched")


def proved(text: str) -> None:
    say(f"   proved: {text}")


def main() -> int:
    return command.run("tour", tour)


if __name__ == "__main__":
    sys.exit(main())
