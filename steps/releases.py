"""Release documents in the store: what ``resolve`` wrote, and every later step begins with."""

from contextlib import suppress

from steps.core.manifest import Manifest
from steps.core.names import Layout, check_deployment
from steps.core.release import Document, parse_document
from steps.errors import Corrupt, Missing
from steps.ports.store import Store


def read(store: Store, layout: Layout, deployment: str, release_id: str) -> Document:
    """Raises Missing when it is not there, Corrupt when it is not what its name promises, BadInput for a bad name."""
    key = layout.release(check_deployment(deployment), release_id)
    body = store.get(key)
    if body is None:
        raise Missing(
            f"release {release_id} of {deployment} is not in the store at {key}; promote its model and commit again, "
            "which writes it anew"
        )
    document = parse_document(body, key)
    found = document.release
    if (found.deployment, found.release_id) != (deployment, release_id):
        raise Corrupt(f"{key} holds release {found.release_id} of {found.deployment}; delete it and promote again")
    return document


def manifest(store: Store, layout: Layout, sha256: str) -> Manifest | None:
    """The one of this identity that some release names; a document that is damaged is passed over."""
    for key in store.list(layout.all_releases):
        with suppress(Corrupt):
            found = parse_document(store.get(key) or b"", key).manifest
            if found.sha256 == sha256:
                return found
    return None
