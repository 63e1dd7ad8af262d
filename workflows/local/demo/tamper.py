"""Put a model's bytes into the store by the steps alone, and change one of them there, as a faulty disk might."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.contracts import MIRROR, RESOLVE
from steps.core.names import Layout
from steps.entry import flag
from steps.errors import Failed
from steps.settings import PREFIX
from steps.step import Step
from workflows.checkout import CHECKOUT, typed
from workflows.command import say
from workflows.config import Config
from workflows.local import environment, seaweed
from workflows.local.verbs import session
from workflows.local.verbs.session import Session


@dataclass(frozen=True)
class Bench:
    """Steps run by hand, each as its pod would: the same command, the same environment."""

    config: Config
    session: Session

    def mirror(self, model: str, revision: str, deployment: str) -> None:
        """Have the store hold a commit; nothing else happens. Raises Failed."""
        named = {"deployment": deployment}
        resolved = self._run(RESOLVE, {"model": model, "revision": revision, **named}, ("release_id",))
        self._run(MIRROR, {**named, **resolved})

    def flip_a_bit(self, model: str, commit: str, path: str, truth: Path) -> str:
        """Store the file with one bit of its middle changed, whatever is there now; the key."""
        body = bytearray(truth.read_bytes())
        body[len(body) // 2] ^= 1
        key = Layout(self.config.prefix).model_file(model, commit, path)
        self._s3().put_object(Bucket=self.config.bucket, Key=key, Body=bytes(body))
        return key

    def remove(self, key: str) -> None:
        self._s3().delete_object(Bucket=self.config.bucket, Key=key)

    def _s3(self) -> Any:
        return seaweed.client(seaweed.start(self.config.home, self.config.bucket))

    def _run(self, step: Step[Any, Any], inputs: Mapping[str, str], outputs: tuple[str, ...] = ()) -> dict[str, str]:
        args = [word for name, value in inputs.items() for word in (flag(name), value)]
        say(f"$ {typed(step.module, *args)}")
        with tempfile.TemporaryDirectory() as directory:
            own = {"OUTPUT_DIR": directory, "TERMINATION_LOG": os.devnull, "ONE_PASS": "false"}
            told = {PREFIX + name: value for name, value in own.items()}
            environ = environment.of_the_machine(os.environ) | self._given() | told
            argv = [sys.executable, "-m", step.module, *args]
            if code := subprocess.run(argv, check=False, cwd=CHECKOUT, env=environ).returncode:
                raise Failed(f"step {step.name} ended with {code}; its reason is above")
            return {name: (Path(directory) / name).read_text(encoding="utf-8") for name in outputs}

    def _given(self) -> dict[str, str]:
        """The settings and the keys, and none of the user's own that could lead elsewhere."""
        return {**self.session.given, **self.session.s3, **self.session.hub}


def bench(config: Config) -> Bench:
    """On the store of this machine, started if need be."""
    return Bench(config, session.begin(config, os.environ))
