"""One deployment, and what every step that looks at it or changes it works with."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steps.core.budget import Patience
from steps.core.names import Layout, slug
from steps.core.release import Release
from steps.filing import Files
from steps.ports.chat import Chat
from steps.ports.clock import Clock
from steps.ports.serving import Serving
from steps.ports.store import Store
from steps.redaction import redact
from steps.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """``volume`` is where the deployment's pods see the models; ``files`` is None for who ends nothing."""

    deployment: str
    serving: Serving
    chat: Chat
    clock: Clock
    patience: Patience
    volume: Path
    files: Files | None = None

    def root(self, release: Release) -> str:
        """What ``/v1/models`` says of a server of this release's weights."""
        return str(self.volume.absolute() / slug(release.model) / release.commit)


def connect(
    settings: Settings, deployment: str, run: str | None = None, store: Callable[[], Store] | None = None
) -> Stage:
    """``run`` is the one among whose reports is filed what it ends; the store is asked for only then.

    ``store`` is how it is got where this process's environment alone does not say that.
    """
    from steps.clients import chat, serving
    from steps.clients.clock import SystemClock

    return Stage(
        deployment=deployment,
        serving=serving.connect(settings, deployment),
        chat=chat.connect(settings),
        clock=SystemClock(),
        patience=Patience(
            request=settings.smoke_timeout_seconds,
            startup=settings.startup_budget_seconds,
            retry_base=settings.retry_base_seconds,
        ),
        volume=settings.volume,
        files=_files(settings, run, store) if run else None,
    )


def _files(settings: Settings, run: str, store: Callable[[], Store] | None) -> Files:
    def connect_store() -> Store:
        from steps.clients import store  # half a second, while which nothing serves

        return store.connect(settings)

    return Files(
        store=store or connect_store,
        layout=Layout(settings.prefix),
        run=run,
        redact=lambda text: redact(text, os.environ),
    )
