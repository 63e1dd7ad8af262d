"""What Argo's UI does when its buttons are pressed: where there is an argo-server, the same requests.

Where there is none, what a person's own program would send to the Kubernetes API for it.
Stop, Terminate and Retry are `workflows.argo.access`'s own. Paths as in argoproj/argo-workflows api/openapi-spec.
"""

from collections.abc import Mapping

from steps.clients.kube.api import Json
from steps.core import argo
from workflows.argo.access import Access
from workflows.argo.server import Server

RESUBMITTED = "workflows.argoproj.io/resubmitted-from-workflow"


def submit(access: Access, template: str, parameters: Mapping[str, str], prefix: str) -> str:
    """SUBMIT of a WorkflowTemplate's page; the name of the new run."""
    if not isinstance(access, Server):
        return _name(access.submit(argo.workflow(template, parameters, generate_name=prefix)))
    options = {"generateName": prefix, "parameters": [f"{k}={v}" for k, v in parameters.items()]}
    body = {"resourceKind": "WorkflowTemplate", "resourceName": template, "submitOptions": options}
    return _name(_asked(access, "POST", "submit", body))


def resubmit(access: Access, run: str) -> str:
    """RESUBMIT of a run's page; the name of the new run. A program sends what was asked for, not the order to stop."""
    if isinstance(access, Server):
        return _name(_asked(access, "PUT", f"{run}/resubmit", {"name": run}))
    old = access.get(run)
    assert old, f"there is no run {run}"
    metadata = {"generateName": f"{run}-", "labels": {RESUBMITTED: run}}
    spec = {key: value for key, value in old["spec"].items() if key != "shutdown"}
    return _name(
        access.submit({"apiVersion": argo.API_VERSION, "kind": "Workflow", "metadata": metadata, "spec": spec})
    )


def _asked(server: Server, method: str, path: str, body: Json) -> Json:
    where = f"/api/v1/workflows/{server.namespace}/{path}"
    answer = server.client.request(method, where, json={"namespace": server.namespace, **body})
    assert answer.is_success, answer.text
    made: Json = answer.json()
    return made


def _name(workflow: Json) -> str:
    return str(workflow["metadata"]["name"])
