"""A slow line between the servers and the contestants: two network namespaces of our own, and a shaped link.

    servers' namespace  10.231.0.1 --tbf-- veth --tbf-- 10.231.0.2  contestants' namespace

Nothing leads out of either. Needs root; is gone when the program is.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SERVERS, CONTESTANTS = "10.231.0.1", "10.231.0.2"
WITHIN = "VLLM_PROMOTE_BENCH_WITHIN"
"""Set for the program that runs in the servers' namespace: the name of the other one."""
SHAPE = ("burst", "256kb", "latency", "50ms")


def far() -> Sequence[str]:
    """What a contestant's command begins with; nothing without a link."""
    name = os.environ.get(WITHIN)
    return ("ip", "netns", "exec", name) if name else ()


def host() -> str | None:
    """Where servers listen for contestants; None without a link."""
    return SERVERS if os.environ.get(WITHIN) else None


def again_within(rate: str, argv: Sequence[str]) -> int:
    """Run this very program in the servers' namespace; its exit code."""
    with _namespaces(rate) as (servers, contestants):
        command = ["ip", "netns", "exec", servers, sys.executable, "-m", "tests.bench", *argv]
        return subprocess.run(command, env={**os.environ, WITHIN: contestants}, check=False).returncode


@contextmanager
def _namespaces(rate: str) -> Iterator[tuple[str, str]]:
    names = tuple(f"vllm-promote-bench-{os.getpid()}-{side}" for side in "ab")
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", names[0], "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", names[1])
        for name, device, address in zip(names, ("near", "far"), (SERVERS, CONTESTANTS), strict=True):
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            shape = ["tc", "-n", name, "qdisc", "add", "dev", device, "root", "tbf", "rate", rate, *SHAPE]
            subprocess.run(shape, check=True)
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def _ip(*argv: str) -> None:
    subprocess.run(["ip", *argv], check=True)
