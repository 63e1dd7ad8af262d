"""Every image that this configuration may have pods ask for, and how each comes to a registry of one's own."""

import shlex
import shutil
from collections.abc import Iterator

from steps.core import images
from steps.core.catalog import DEFAULT_IMAGES, Catalog
from steps.core.images import Copy
from workflows.config import Config
from workflows.pods import TemplateConfig

BUILDERS = ("docker", "podman", "buildah")


def copies(config: Config, catalog: Catalog) -> tuple[Copy, ...]:
    """Empty without a registry. Raises BadInput where two images would become one."""
    return images.copies(_used(config, catalog), config.registry)


def command(copy: Copy) -> str:
    """What a person types: ours are on the machine that built them, the others where they are published."""
    source, target = shlex.quote(copy.source), shlex.quote(copy.target)
    if _repository(copy.source) in _built():
        return f"{builder()} tag {source} {target} && {builder()} push {target}"
    return f"skopeo copy --all docker://{_one_name(source)} docker://{_one_name(target, of_digest=False)}"


def builder() -> str:
    """As ``make images`` chooses, as far as that shows without asking: what is on the PATH."""
    return next(filter(shutil.which, BUILDERS), BUILDERS[0])


def _used(config: Config, catalog: Catalog) -> Iterator[str]:
    usual = TemplateConfig()
    yield config.transfer_image or usual.transfer_image
    yield config.cluster_image or usual.cluster_image
    yield DEFAULT_IMAGES[config.device or "cuda"]
    for entry in catalog.deployments.values():
        yield entry.image or DEFAULT_IMAGES[entry.device or config.device or "cuda"]


def _built() -> set[str]:
    """Repositories that ``make images`` fills, under whatever tag; a name without a host is no published image."""
    usual = TemplateConfig()
    return {_repository(usual.transfer_image), _repository(usual.cluster_image)}


def _repository(image: str) -> str:
    name, _, _ = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    return repository if colon and "/" not in tag else name


def _one_name(image: str, *, of_digest: bool = True) -> str:
    """Skopeo takes a tag or a digest, not both: it reads the digest, and writes the tag, which then has that digest."""
    name, _, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not digest or not colon or "/" in tag:
        return image
    return f"{repository}@{digest}" if of_digest else name
