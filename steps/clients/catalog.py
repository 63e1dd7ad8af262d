"""The catalog's file."""

from pathlib import Path

from steps.core.catalog import Catalog, parse
from steps.errors import BadInput
from steps.settings import Settings


def read(settings: Settings) -> Catalog:
    """Raises BadInput naming the file.

    One that is not there is an empty one where nobody named it, or on one machine, where the command line has looked
    for it already. In a cluster it is an error: without its entry a model would be served in another way than before.
    """
    try:
        return parse(settings.catalog.read_text(encoding="utf-8"), str(settings.catalog))
    except FileNotFoundError as err:
        if settings.catalog == Path("catalog.yaml") or settings.local_dir is not None:
            return Catalog()
        raise BadInput(f"there is no catalog at {settings.catalog}; create it, or mend VLLM_PROMOTE_CATALOG") from err
    except (OSError, UnicodeDecodeError) as err:
        raise BadInput(f"the catalog at {settings.catalog} cannot be read: {err}") from err
