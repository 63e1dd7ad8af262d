"""One machine as its user sees it: commands of the project as processes, and what clients get from the endpoint."""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STUB = f"{sys.executable} {REPOSITORY / 'tests/stubs/model_server.py'}"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Ended:
    """A command that is over."""

    code: int
    text: str


@dataclass
class Machine:
    """``environ`` is added to a minimal environment; everything of ours lies under ``home``."""

    home: Path
    environ: Mapping[str, str]
    said: list[str] = field(default_factory=list)
    """Everything that any command printed."""

    def start(self, verb: str, *args: str, **environ: str) -> subprocess.Popen[str]:
        """A verb of ``python -m workflows`` as a process in a group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", f"workflows.{verb}", *args],
            cwd=REPOSITORY,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "VLLM_PROMOTE_LOCAL_DIR": str(self.home),
                "VLLM_PROMOTE_DEVICE": "cpu",
                "VLLM_PROMOTE_SERVE_COMMAND": STUB,
                "VLLM_PROMOTE_RETRY_BASE_SECONDS": "0.2",
                "VLLM_PROMOTE_SMOKE_TIMEOUT_SECONDS": "3",
                "VLLM_PROMOTE_STALL_SECONDS": "5",
                **self.environ,
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], seconds: float = 90) -> Ended:
        """Wait for a started command."""
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            text, _ = process.communicate()
            raise AssertionError(f"not over after {seconds} s:\n{text}") from None
        self.said.append(text)
        return Ended(process.returncode, text)

    def run(self, verb: str, *args: str, **environ: str) -> Ended:
        return self.end(self.start(verb, *args, **environ))

    def promote(self, *args: str, **environ: str) -> Ended:
        return self.run("promote", "--local", *args, **environ)

    def status(self, deployment: str) -> dict[str, Any]:
        ended = self.run("status", "--local", "--deployment", deployment, "-o", "json")
        assert ended.code == 0, ended.text
        (entry,) = json.loads(ended.text)
        assert isinstance(entry, dict)
        return entry

    def history(self, deployment: str) -> list[dict[str, Any]]:
        ended = self.run("history", "--local", "--deployment", deployment, "-o", "json")
        assert ended.code == 0, ended.text
        return list(json.loads(ended.text))

    def record(self, deployment: str) -> dict[str, Any]:
        """Without asking the program: the file that the design names."""
        return dict(json.loads((self.home / "serving" / f"{deployment}.json").read_bytes()))

    def report(self, ended: Ended) -> dict[str, Any]:
        """The report of the newest run."""
        newest = max((self.home / "reports").iterdir(), key=lambda p: (p / "report.json").stat().st_mtime)
        return dict(json.loads((newest / "report.json").read_bytes()))

    def run_state(self) -> dict[str, Any]:
        """run.json of the newest run; empty before there is one."""
        states = sorted((self.home / "runs").glob("*/run.json"), key=lambda p: p.stat().st_mtime)
        return dict(json.loads(states[-1].read_bytes())) if states else {}

    def wait_for_step(
        self,
        process: subprocess.Popen[str],
        step: str,
        *,
        begun: Callable[[], bool] = lambda: True,
        seconds: float = 60,
    ) -> None:
        """Return once the newest run is at ``step`` and that has ``begun`` what it does, as far as a look can tell."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            nodes = {n["name"]: n for n in self.run_state().get("nodes", ())}
            if nodes.get(step, {}).get("phase") == "Running" and nodes[step]["attempts"] and begun():
                return
            if process.poll() is not None:
                break
            time.sleep(0.005)
        raise AssertionError(f"{step} was never seen at it:\n{self.end(process, 1).text}")

    def digest(self, *names: str) -> str:
        """Of every file's path, content and modification time below these directories."""
        digest = hashlib.sha256()
        for name in names:
            root = self.home / name
            for path in sorted(p for p in [root, *root.rglob("*")] if p.is_file()):
                digest.update(f"{path} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
        return digest.hexdigest()


def ask(
    url: str, path: str = "/v1/models", body: Mapping[str, Any] | None = None, seconds: float = 5, *, key: str = ""
) -> dict[str, Any]:
    """What a client gets from an endpoint, as JSON. Raises OSError when nobody answers, or not without a key."""
    request = urllib.request.Request(
        url.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
    )
    with _direct.open(request, timeout=seconds) as response:
        value = json.load(response)
    assert isinstance(value, dict)
    return value


def served_root(url: str, *, key: str = "") -> str:
    """The directory of the weights that answer."""
    return str(ask(url, key=key)["data"][0]["root"])


def answers(url: str) -> bool:
    try:
        ask(url)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return True
