"""A real one-node Kubernetes on this machine, without Docker and systemd, and without a way out.

All of it runs in one network namespace of its own, so the kubeconfig works under `exec` only, and nothing of the
machine's network changes. Only one such cluster runs on a machine at a time.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from steps.clients.local import daemon
from steps.clients.local.daemon import Daemon
from steps.errors import BadInput, Missing, StepError
from tests.cluster.kubernetes import admin, images, network, packages, programs, status
from tests.cluster.kubernetes.cluster import Cluster
from tests.cluster.kubernetes.containerd import Containerd
from tests.cluster.kubernetes.layout import Layout
from tests.cluster.kubernetes.shell import say
from tests.cluster.kubernetes.wait import until
from workflows.local.demo import cache, smollm2, vllm_cpu

STOP_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(argv)
    state: Path = asked.state or cache.root(os.environ) / "cluster"
    try:
        asked.do(Layout(state.absolute()), asked)
    except StepError as err:
        print(f"{type(err).__name__}: {err}", file=sys.stderr)  # noqa: T201  # the command's own output
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="python -m tests.cluster.kubernetes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--state", type=Path, help="where its data lie; default: cluster in the project's cache")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[Layout, argparse.Namespace], None], told: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=told, description=told)
        added.set_defaults(do=do)
        return added

    command("prepare", _prepare, "install what the machine lacks, as root on Debian")
    command("build", _build, "Kubernetes out of its Go modules, once: minutes")
    command("images", _images, "build the images and the model of the tests; load the images if it is up")
    command("up", _up, "start it, with the data of before")
    command("status", _status, "its processes, what runs beside it, its node")
    down = command("down", _down, "end it, and what runs beside it; its data stay")
    down.add_argument("--wipe", action="store_true", help="they do not")
    command("load", _load, "take in an image").add_argument("archive", type=Path, help="as `docker save` writes it")
    resource = command("resource", _resource, "have the node advertise what it does not have")
    resource.add_argument("counts", nargs="+", metavar="NAME=COUNT")
    restart = command("restart", _restart, "kill one of its processes, and start it again")
    restart.add_argument("name", help="as in `status`; or `node`: all but the control plane, and every container")
    execute = command("exec", _execute, "run a command in its network, with KUBECONFIG set")
    execute.add_argument("--name", help="leave it running under this name, until `stop` or `down`")
    execute.add_argument("argv", nargs="+", metavar="ARG")
    command("stop", _stop, "end what `exec --name` left").add_argument("name")
    return whole


def _prepare(_layout: Layout, _asked: argparse.Namespace) -> None:
    packages.prepare()


def _build(_layout: Layout, _asked: argparse.Namespace) -> None:
    say(str(programs.built(os.environ)))


def _images(layout: Layout, _asked: argparse.Namespace) -> None:
    smollm2.prepare(vllm_cpu.python(os.environ), os.environ)  # within the cluster's network nothing can be fetched
    archives = images.archives(os.environ)
    for archive in archives:
        say(f"{archive.reference:36} {archive.file}")
    if layout.socket.exists():
        images.load(Containerd(layout.socket), archives, layout.images)


def _up(layout: Layout, _asked: argparse.Namespace) -> None:
    begun = time.monotonic()
    Cluster(layout, programs.built(os.environ)).up()
    say(f"up after {time.monotonic() - begun:.1f} s, in the network namespace {layout.name}")


def _down(layout: Layout, asked: argparse.Namespace) -> None:
    cluster = _cluster(layout)
    cluster.down()
    if asked.wipe:
        cluster.wipe()


def _status(layout: Layout, _asked: argparse.Namespace) -> None:
    for line in status.lines(layout):
        say(line)


def _load(layout: Layout, asked: argparse.Namespace) -> None:
    Containerd(layout.socket).load(asked.archive.absolute())


def _resource(layout: Layout, asked: argparse.Namespace) -> None:
    wanted = counts(asked.counts)
    network.enter(layout)
    admin.advertise(layout, wanted)
    until("the node advertises it", lambda: admin.advertised(layout, wanted))


def _restart(layout: Layout, asked: argparse.Namespace) -> None:
    network.enter(layout)
    cluster = _cluster(layout)
    if asked.name == "node":
        cluster.restart_node()
    else:
        cluster.restart(asked.name)


def _execute(layout: Layout, asked: argparse.Namespace) -> None:
    """In this process's place, unless it gets a name. The machine's proxies are outside."""
    network.enter(layout)
    inside = {**without_proxies(os.environ), **layout.environment()}
    if asked.name:
        daemon.start(Daemon(layout.processes, asked.name), asked.argv, inside, Path.cwd())
    else:
        try:
            os.execvpe(asked.argv[0], asked.argv, inside)
        except OSError as err:
            raise Missing(f"{asked.argv[0]} cannot be run: {err.strerror}") from err


def _stop(layout: Layout, asked: argparse.Namespace) -> None:
    daemon.stop(Daemon(layout.processes, asked.name), STOP_SECONDS)


def _cluster(layout: Layout) -> Cluster:
    """One that was started, so that its programs are there."""
    return Cluster(layout, programs.place(os.environ))


def counts(pairs: Sequence[str]) -> dict[str, int]:
    """Raises BadInput for what is no NAME=COUNT."""
    try:
        return {name: int(count) for name, _, count in (pair.partition("=") for pair in pairs)}
    except ValueError as err:
        raise BadInput(f"a resource is written NAME=COUNT, such as nvidia.com/gpu=1: {err}") from err


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.lower().endswith("_proxy")}
