"""Take a real chat model from a Hub to an endpoint on this machine, and ask it something: `make demo`."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from steps.errors import BadInput, Failed
from workflows import command, config
from workflows.checkout import typed
from workflows.command import say
from workflows.config import LOCAL_FILE
from workflows.local.demo import client, demo_hub
from workflows.local.demo.shell import Serving, Shell
from workflows.local.demo.smollm2 import MODEL
from workflows.local.demo.story import fact, heading, timed

DEPLOYMENT = "chat"
"""The entry of catalog.yaml."""
QUESTION, ANSWER = "What is the capital of France?", "Paris"
OURS = ("hub", "reports", "runs", "s3", "services", "serving", "volume", "settings.toml")
"""What the local directory holds."""


def demo(*, down: Annotated[bool, typer.Option("--down", help="Stop all of it and remove it instead.")] = False) -> int:
    """Promote a real chat model on this machine, from a Hub of its own, served by a real vLLM on the CPU."""
    home = config.load(local=True).home
    return take_down(home) if down else promote(home)


def promote(home: Path) -> int:
    """Prepare, promote, ask. The exit code is `promote`'s when that is not 0."""
    say(f"Everything lies in {home} and a cache; nothing listens beyond this machine.")
    demo_hub.open_in(home)
    shell = Shell(home)
    heading("Promote it")
    if code := shell.show("workflows.promote", "--model", MODEL, "--local"):
        return code
    serving = shell.serving(DEPLOYMENT)
    heading("Ask it")
    ask(serving)
    tell(shell, serving)
    return 0


def ask(serving: Serving) -> None:
    """As a client would. Raises Failed when the answer is wrong, or not given by the weights that were promoted."""
    fact(QUESTION)
    with timed("answered"):
        answer = client.ask(serving.url, QUESTION)
        fact(answer.strip())
    if ANSWER not in answer:
        raise Failed(
            f"{serving.url} should answer with {ANSWER!r}; `{typed('workflows.status', '--local')}` tells more"
        )
    if (commit := client.commit(serving.url)) != serving.commit:
        raise Failed(f"{serving.url} serves commit {commit}, and the record says {serving.commit}; promote it again")


def tell(shell: Shell, serving: Serving) -> None:
    """How long each step took, where it serves, and what can be done now."""
    report = shell.newest_report()
    heading(f"What was done, by run {report.run}: {report.outcome}")
    for step, seconds in report.seconds.items():
        fact(f"{step:10}{seconds:6.1f} s")
    heading(f"{MODEL} serves at {serving.url}/v1")
    fact(f"as {DEPLOYMENT}, commit {serving.commit}")
    heading("What to try next")
    body = f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Who are you?"}}]}}'
    for line, why in (
        (f"curl {serving.url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'", "ask it"),
        (typed("workflows.promote", "--model", MODEL, "--local"), "promote it again: it is live, nothing is done"),
        (typed("workflows.status", "--local"), "see what serves"),
        (typed("workflows.history", "--local", "--deployment", DEPLOYMENT), "see what happened"),
        ("make tour", "go on: an upgrade, refusals, a rollback"),
        ("make demo-down", "stop it all and remove it"),
    ):
        fact(f"{line}\n       {why}")


def take_down(home: Path) -> int:
    """Stop all that runs, and remove what is ours in the local directory. Raises BadInput when it holds more."""
    check_ours(home)
    if code := Shell(home).show("workflows.stop", "--local", "--force"):
        return code
    for path in (home / name for name in OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()
    say("Stopped and removed. What was fetched stays in the cache for the next time; `make clean` removes that too.")
    return 0


def check_ours(home: Path) -> None:
    """Raises BadInput where somebody's own models were promoted in this directory: no demo may take those down."""
    others = sorted({path.stem for path in (home / "serving").glob("*.json")} - {DEPLOYMENT})
    if others or ((home / "serving").exists() and not demo_hub.is_ours(home / LOCAL_FILE)):
        raise BadInput(
            f"{home} holds more than the demo ({', '.join(others) or DEPLOYMENT}), so nothing is stopped or removed; "
            f"to stop it run `{typed('workflows.stop', '--local')}`, to remove it remove the directory"
        )


def main() -> int:
    return command.run("demo", demo)


if __name__ == "__main__":
    sys.exit(main())
