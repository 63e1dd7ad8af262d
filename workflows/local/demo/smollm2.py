"""SmolLM2-135M-Instruct in several versions, good and bad, prepared once: what the demo's Hub server holds."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from steps.errors import Failed
from workflows.local.demo import cache

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
RECIPE = Path(__file__).with_name("smollm2_recipe.py")
Version = Literal["first", "second", "third", "damaged", "truncated"]
"""What they are is told in smollm2_recipe."""


def prepare(interpreter: Path, environ: Mapping[str, str]) -> Path:
    """The directory with one subdirectory a version, made by the recipe if it is not there (0.6 GB, half a minute).

    ``interpreter`` is vllm_cpu's. Raises Failed.
    """
    name = f"smollm2-{cache.key(RECIPE.read_bytes(), interpreter.parent.parent.name.encode())}"
    return cache.made(cache.root(environ) / name, lambda aside: _follow_recipe(interpreter, aside))


def _follow_recipe(interpreter: Path, directory: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log = directory.with_suffix(".log")
    with log.open("wb") as output:
        done = subprocess.run(
            [interpreter, RECIPE, directory],
            check=False,
            env=environ | {"HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise Failed(f"the demo's model could not be prepared; {log} says why")
