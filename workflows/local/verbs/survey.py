"""Draw up the plan of a promotion on this machine: all that its first steps would ask, and nothing is written."""

import os

from steps.stage import connect
from workflows.asked import Asked, read_catalog
from workflows.command import submitting
from workflows.config import Config
from workflows.local.verbs.session import become, begin
from workflows.plan import Plan
from workflows.survey import Landscape, draw_up


def survey(config: Config, asked: Asked) -> Plan:
    """With the real ones. Raises what the steps would, NotSubmitted where the store cannot be started."""
    from steps.clients import hub, store, volume

    with submitting():
        session = begin(config, os.environ)
    become(session)
    settings = session.settings
    around = Landscape(
        hub=hub.connect(settings),
        store=store.connect(settings),
        volume=volume.Directory(settings.volume),
        stage=connect(settings, asked.deployment),
        catalog=read_catalog(config),
        settings=settings,
    )
    return draw_up(asked, around)
