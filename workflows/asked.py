"""What a promotion was asked for, checked as far as that can be done without asking anyone."""

from collections.abc import Callable
from dataclasses import dataclass

from steps.core import catalog
from steps.core.catalog import Catalog, Entry
from steps.core.names import check_deployment, check_model, check_revision
from steps.errors import BadInput
from workflows.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The run's parameters, and the catalog's entry that they mean."""

    model: str
    revision: str
    deployment: str
    entry: Entry

    @property
    def parameters(self) -> dict[str, str]:
        return {"model": self.model, "revision": self.revision, "deployment": self.deployment}


def checked(read: Callable[[], Catalog], model: str, revision: str | None, deployment: str | None) -> Asked:
    """``read`` is called when all names can be. Raises BadInput: one cannot, or the catalog means something else by it.

    What ``read`` raises it raises too.
    """
    check_model(model)
    if deployment is not None:
        check_deployment(deployment)
    if revision is not None:
        check_revision(revision)
    name, entry = catalog.select(read(), model, deployment)
    wanted = check_revision(entry.revision if revision is None else revision)
    return Asked(model=model, revision=wanted, deployment=name, entry=entry)


def read_catalog(config: Config) -> Catalog:
    """An empty one where none was named and there is none. Raises BadInput."""
    path = config.catalog_path
    try:
        return catalog.parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as err:
        if config.catalog is None:
            return Catalog()
        raise BadInput(f"there is no catalog {path}; mend VLLM_PROMOTE_CATALOG") from err
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"the catalog {path} cannot be read: {err}") from err
