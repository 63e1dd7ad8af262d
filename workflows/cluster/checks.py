"""What can be known before a run is submitted, in a second or two: each finding is a sentence with its remedy.

What the account that submits has no right to see is left to the steps, which say it as well, later.
"""

from steps.clients.kube.api import CONFIG_MAP, WORKFLOW_TEMPLATE, Api, Json
from steps.clients.kube.errors import Forbidden
from steps.core.installed import PROMOTE_TEMPLATE, ROLLBACK_TEMPLATE
from steps.errors import Conflict, Missing
from workflows.checkout import typed
from workflows.cluster import argo, claim, secrets
from workflows.config import Config
from workflows.pods import CATALOG, SETTINGS
from workflows.template import COMMIT, DEPLOYMENT, MANIFEST, MODEL, RELEASE, REVISION, SERVED

PARAMETERS = {
    PROMOTE_TEMPLATE: {MODEL.name, REVISION.name, DEPLOYMENT.name},
    ROLLBACK_TEMPLATE: {MODEL.name, COMMIT.name, MANIFEST.name, RELEASE.name, DEPLOYMENT.name, SERVED.name},
}
"""Of each template, those that its runs are given."""
ENDPOINT = "AWS_ENDPOINT_URL"


def before_submitting(api: Api, config: Config, name: str = PROMOTE_TEMPLATE) -> None:
    """``name`` is the template's. Raises Missing or Conflict where a run could not even start, or would wait for ever.

    A claim that is just being bound is waited for.
    """
    argo.require(api)
    argo.require_controller((api,))
    template = _installed(api, name)
    settings, _ = (_held(api, held) for held in (SETTINGS, CATALOG))
    _require_claim(api, template)
    store = config.aws_endpoint_url if settings is None else settings.get(ENDPOINT)
    if store:  # of one's own: no cloud gives identities
        _require_keys(api)


def _installed(api: Api, name: str) -> Json:
    install = typed("workflows.install")
    template = api.get(WORKFLOW_TEMPLATE, name)
    if template is None:
        raise Missing(
            f"namespace {api.namespace} has no WorkflowTemplate {name}; run {install}, or name the "
            f"namespace where it is with VLLM_PROMOTE_NAMESPACE"
        )
    known = {p["name"] for p in template["spec"].get("arguments", {}).get("parameters", ())}
    if known != PARAMETERS[name]:
        raise Conflict(
            f"WorkflowTemplate {name} in namespace {api.namespace} takes {', '.join(sorted(known))} and is "
            f"another version's than this checkout; use the checkout that it is from, or run {install}"
        )
    return template


def _held(api: Api, name: str) -> dict[str, str] | None:
    """What a ConfigMap holds, None where that is not ours to see; a pod would wait for ever for one that is missing."""
    try:
        found = api.get(CONFIG_MAP, name)
    except Forbidden:
        return None
    if found is None:
        raise Missing(f"namespace {api.namespace} has no ConfigMap {name}; run {typed('workflows.install')}")
    data: dict[str, str] = found.get("data", {})
    return data


def _require_claim(api: Api, template: Json) -> None:
    """The one that the installed template names, whatever this machine's settings say."""
    volumes = (volume.get("persistentVolumeClaim") for volume in template["spec"].get("volumes", ()))
    for held in filter(None, volumes):
        try:
            claim.settled(api, held["claimName"])
            claim.require(api, held["claimName"])
        except Forbidden:
            continue


def _require_keys(api: Api) -> None:
    for lack in secrets.lacking(api, (secrets.S3,)):
        raise Missing(
            f"{secrets.sentence(lack)} in namespace {api.namespace}, and the store is no cloud's, which might give "
            f"pods an identity; {secrets.remedy(lack, api.namespace)}, where {secrets.content(lack.wanted)}"
        )
