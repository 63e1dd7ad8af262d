"""The verbs. Each is a command: python -m workflows.VERB --help."""

import ast
import sys
from pathlib import Path

from workflows.command import say

VERBS = (
    *("install", "promote", "watch", "status", "history", "rollback", "allow", "refresh", "reconcile"),
    *("audit", "uninstall", "stop", "demo", "tour"),
)


def summary(verb: str) -> str:
    """The first sentence of its module, read without running it."""
    source = Path(__file__).with_name(f"{verb}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition(":")[0].partition("\n")[0].rstrip(".")


def main() -> int:
    """Print them in the order in which one meets them."""
    say("python -m workflows.VERB [--local] [--help]\n")
    for verb in VERBS:
        say(f"  {verb:<10}{summary(verb)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
