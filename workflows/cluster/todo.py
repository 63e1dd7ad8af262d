"""What an installation leaves to people: the claim, the Secrets, the images. Each with what they type."""

from collections.abc import Iterator

from steps.clients.kube import claims
from steps.clients.kube.api import Api
from steps.core.catalog import Catalog
from steps.core.claim import deleted_with_it
from steps.errors import Missing
from workflows.cluster import claim, images, secrets
from workflows.config import Config

Lines = tuple[str, ...]
"""A sentence, then what goes with it."""


def todo(api: Api, config: Config, catalog: Catalog) -> str:
    """A list with what to type below each of its sentences; empty where nothing is left to do."""
    found = (*_claim(api, config), *_secrets(api, config), *_images(config, catalog))
    lines = (line for first, *others in found for line in (f"  - {first}", *(f"      {other}" for other in others)))
    return "\n".join(lines)


def _claim(api: Api, config: Config) -> Iterator[Lines]:
    try:
        claim.require(api, config.claim)
    except Missing as err:
        yield (str(err),)
    volume = claims.volume_of(api, config.claim)
    if volume and deleted_with_it(volume):
        name = volume["metadata"]["name"]
        keep = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
        yield f"volume {name} goes when its claim goes; to keep the models:", f"kubectl patch pv {name} -p '{keep}'"


def _secrets(api: Api, config: Config) -> Iterator[Lines]:
    for lack in secrets.lacking(api, secrets.wanted(config.image_pull_secrets)):
        why = f"{secrets.sentence(lack)}: {lack.wanted.purpose}"
        yield why, secrets.remedy(lack, config.namespace), secrets.content(lack.wanted)


def _images(config: Config, catalog: Catalog) -> Iterator[Lines]:
    if copies := images.copies(config, catalog):
        yield f"pods take their images from {config.registry}; what is not there yet:", *map(images.command, copies)
