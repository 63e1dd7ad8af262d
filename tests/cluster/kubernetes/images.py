"""The images that the suite's pods run: each built once for each version of what it is made of, kept as an archive."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.kubernetes import base, builder, vllm
from tests.cluster.kubernetes.builder import Builder
from tests.cluster.kubernetes.containerd import Containerd
from workflows.checkout import CHECKOUT
from workflows.local.demo import cache, vllm_cpu

RECIPES = CHECKOUT / "tests" / "cluster" / "images"
STUBS = CHECKOUT / "tests" / "stubs"
STANDS_FOR = "stands-for"
"""The file that vLLM's layer is in the archive, as its Dockerfile calls it."""


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    reference: str
    made_of: tuple[Path, ...]
    """Files and directories of the checkout. They and the base decide what is in it."""
    build: Callable[["Image", Builder], None]

    @property
    def recipe(self) -> Path:
        return RECIPES / f"{self.name}.Dockerfile"

    def key(self) -> str:
        files = [file for path in self.made_of for file in _files(path)]
        parts = [part for file in files for part in (str(file.relative_to(CHECKOUT)).encode(), file.read_bytes())]
        return cache.key(base.key().encode(), *parts)

    def place(self, environ: Mapping[str, str]) -> Path:
        return cache.root(environ) / f"image-{self.name}-{self.key()}"


@dataclass(frozen=True, slots=True)
class Archive:
    """An image that was made. ``file`` is another one when the image is."""

    reference: str
    file: Path
    layer: Path | None = None
    """What the uppermost layer of the archive stands for."""


def archives(environ: Mapping[str, str]) -> tuple[Archive, ...]:
    """All of them, made where need be, the base first. Raises Missing, BadInput, Transient."""
    places = {image: image.place(environ) for image in ALL}
    if not all(place.is_dir() for place in (vllm.place(environ), *places.values())):
        with builder.opened(cache.root(environ)) as ours:
            ours.take(base.made(environ, ours) / "image.tar")
            vllm.layer(environ, ours)
            for image, place in places.items():
                cache.made(place, partial(_make, image, ours))
                _forget_others(place, f"image-{image.name}-*")
    layers = {VLLM: vllm.place(environ)}
    made = [Archive(image.reference, place / "image.tar", layers.get(image)) for image, place in places.items()]
    return (Archive(base.REFERENCE, base.place(environ) / "image.tar"), *made)


def load(containerd: Containerd, wanted: Sequence[Archive], memory: Path) -> None:
    """Have it hold them; ``memory`` is a file that tells which ones it was given before."""
    given: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    for archive in wanted:
        if given.get(archive.reference) == str(archive.file):
            continue
        if archive.layer:
            vllm.put(containerd, archive.file, archive.layer)
        containerd.load(archive.file)
        given[archive.reference] = str(archive.file)
        memory.write_text(json.dumps(given, indent=1))


def _make(image: Image, ours: Builder, directory: Path) -> None:
    image.build(image, ours)
    ours.save(image.reference, directory / "image.tar")


def _build_steps(image: Image, ours: Builder) -> None:
    ours.make_images(base.REFERENCE, image.name)


def _build_model_server(image: Image, ours: Builder) -> None:
    ours.build(base.REFERENCE, image.recipe, STUBS, image.reference)


def _build_vllm(image: Image, ours: Builder) -> None:
    context = ours.directory / image.name
    context.mkdir()
    (context / STANDS_FOR).write_text(vllm.key())
    ours.build(base.REFERENCE, image.recipe, context, image.reference)


def _files(path: Path) -> list[Path]:
    """Without what Python leaves beside its sources."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def _forget_others(kept: Path, pattern: str) -> None:
    """Of what it was made of before: half a gigabyte for each change of a step."""
    for other in kept.parent.glob(pattern):
        if other != kept and other.is_dir():
            shutil.rmtree(other)


def _steps(name: str) -> Image:
    recipe, lock = (CHECKOUT / "images" / file for file in (f"{name}.Dockerfile", f"requirements-{name}.txt"))
    return Image(name, f"vllm-promote/{name}:dev", (CHECKOUT / "steps", recipe, lock), _build_steps)


MODEL_SERVER = Image(
    "model-server",
    "vllm-promote-test/model-server:1",
    (RECIPES / "model-server.Dockerfile", STUBS / "model_server.py"),
    _build_model_server,
)
VLLM = Image(
    "vllm-cpu",
    "vllm-promote-test/vllm-cpu:1",
    (RECIPES / "vllm-cpu.Dockerfile", vllm_cpu.LOCK, Path(vllm.__file__)),
    _build_vllm,
)
ALL = (_steps("transfer"), _steps("cluster"), MODEL_SERVER, VLLM)
