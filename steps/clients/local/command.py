"""How a model server is started on this machine: its program, its arguments, its environment, what it must find."""

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from steps.clients.local.addresses import HOST
from steps.clients.local.handed_on import handed_on
from steps.core.names import slug
from steps.core.release import Release
from steps.errors import BadInput, Missing, NoSpace
from steps.settings import PREFIX

DRAIN_SECONDS = 45
"""What a server that is stopped gives the requests in flight: vLLM itself would cut them at once."""

VLLM = ("-m", "vllm.entrypoints.openai.api_server")
VLLM_ARGUMENTS = ("--load-format", "safetensors", "--shutdown-timeout", str(DRAIN_SECONDS))
"""Never another format than the one that was checked, whatever lies beside it."""

OURS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": HOST,  # its processes talk to each other by TCP
    "GLOO_SOCKET_IFNAME": "lo",
}
ON_THE_CPU = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
"""Unless the user says otherwise; GiB."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """``replaced`` is the user's own, split as a shell would; None for vLLM. ``volume`` holds the models."""

    replaced: str | None
    volume: Path
    environ: Mapping[str, str]
    """This process's; never handed on as a whole."""

    def directory(self, release: Release) -> Path:
        """Of its weights."""
        return self.volume.absolute() / slug(release.model) / release.commit

    def argv(self, release: Release, port: int) -> list[str]:
        place = ["--host", HOST, "--port", str(port)]
        served = ["--model", str(self.directory(release)), "--served-model-name", release.serving.served_name, *place]
        ours = () if self.replaced else VLLM_ARGUMENTS
        return [*self.program(), *served, *ours, *release.serving.args]

    def program(self) -> list[str]:
        """Raises BadInput for a command that no shell could split."""
        if self.replaced is None:
            return [sys.executable, *VLLM]
        try:
            return shlex.split(self.replaced)
        except ValueError as err:
            raise BadInput(f"{PREFIX}SERVE_COMMAND cannot be split into words: {err}; mend its quotes") from err

    def environment(self, device: str) -> dict[str, str]:
        """What a model server needs to know: no token, no key, nothing of ours."""
        kept = {name: value for name, value in self.environ.items() if handed_on(name)}
        return {**(ON_THE_CPU if device == "cpu" else {}), **kept, **OURS}

    def check(self, release: Release) -> None:
        """Raises BadInput, Missing, NoSpace: what would keep a server of this release from ever starting."""
        if not self.volume.is_dir():
            raise Missing(f"the volume {self.volume} is not there; set {PREFIX}VOLUME to the models' directory")
        self._check_program()
        check_device(release.serving.device, Path("/dev"))
        if release.serving.device == "cpu" and release.total_bytes > (memory := psutil.virtual_memory().total):
            raise NoSpace(
                f"{release.model} has {release.total_bytes >> 20} MiB of weights and this machine {memory >> 20} MiB "
                "of memory; choose a smaller model"
            )

    def _check_program(self) -> None:
        first = next(iter(self.program()), "")
        if self.replaced is not None and shutil.which(first, path=self.environ.get("PATH")) is None:
            raise BadInput(f"{PREFIX}SERVE_COMMAND names {first!r}, which is no program here; mend it")
        if self.replaced is None and importlib.util.find_spec("vllm") is None:
            raise Missing(f"{sys.executable} has no vLLM; install it there, or set {PREFIX}SERVE_COMMAND")


def check_device(device: str, devices: Path) -> None:
    """Raises BadInput where a GPU is asked for and the directory of devices shows none."""
    if device == "cuda" and not any([*devices.glob("nvidia[0-9]*"), *devices.glob("dxg")]):
        raise BadInput(f"the release wants a GPU and this machine shows none; set {PREFIX}DEVICE=cpu, or use another")
