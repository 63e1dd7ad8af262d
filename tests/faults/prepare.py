"""What the long rows need of the machine: strace, from Debian's package where it is missing."""

import sys

from steps.errors import StepError
from tests.cluster.kubernetes import packages

PACKAGES = {"strace": "strace"}


def main() -> int:
    try:
        packages.provide(PACKAGES)
    except StepError as err:
        print(f"{type(err).__name__}: {err}", file=sys.stderr)  # noqa: T201  # the command's own output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
