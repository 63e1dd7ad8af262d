"""One deployment, and what every step that looks at it or changes it works with."""

from dataclasses import dataclass
from pathlib import Path

from steps.core.budget import Patience
from steps.core.names import slug
from steps.core.release import Release
from steps.ports.chat import Chat
from steps.ports.clock import Clock
from steps.ports.serving import Serving
from steps.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """``volume`` is where the deployment's pods see the models."""

    deployment: str
    serving: Serving
    chat: Chat
    clock: Clock
    patience: Patience
    volume: Path

    def root(self, release: Release) -> str:
        """What ``/v1/models`` says of a server of this release's weights."""
        return str(self.volume.absolute() / slug(release.model) / release.commit)


def connect(settings: Settings, deployment: str) -> Stage:
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
    )
