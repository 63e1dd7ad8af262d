"""Draw up the plan of a promotion in a cluster, from Hub, store and record; its volume and pods are out of reach."""

from contextlib import suppress

from steps.clients.kube.errors import Forbidden
from steps.stage import connect
from workflows.argo import session
from workflows.asked import Asked
from workflows.cluster import claim
from workflows.config import Config
from workflows.plan import Plan
from workflows.survey import Landscape, draw_up


def survey(config: Config, asked: Asked) -> Plan:
    """With whom the user may ask of Hub and store. Raises what the steps would, NotSubmitted."""
    from steps.clients import hub, store

    settings, catalog = session.settings(config), session.installed_catalog(config, "ask")
    with suppress(Forbidden):
        claim.settled(session.connect(config, "ask"), config.claim)
    stage = connect(settings, asked.deployment)
    with session.from_here(config):
        models, documents = hub.connect(settings), store.connect(settings)
        around = Landscape(hub=models, store=documents, volume=None, stage=stage, catalog=catalog, settings=settings)
        return draw_up(asked, around)
