"""An argo-server in memory over a Kubernetes API: the requests and answers of v4.1.2, as they were seen."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

from steps.clients.kube.api import WORKFLOW, Json
from steps.errors import Conflict, Missing, Transient
from tests.stubs.kube import FakeApi
from workflows.argo.direct import Direct

LOGIN = "Bearer good"
_PATH = re.compile(
    r"/api/v1/(?P<what>workflows|workflow-events)/(?P<namespace>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<verb>\w+))?"
)


@dataclass(frozen=True)
class ArgoServer:
    """A handler for httpx2's MockTransport. ``base`` is the path below which it lives."""

    api: FakeApi
    base: str = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        match = _PATH.fullmatch(path[len(self.base) :]) if path.startswith(self.base) else None
        if match is None:
            return httpx2.Response(200, text="<html>the UI</html>")
        if request.headers.get("Authorization") != LOGIN:
            return _refused(401, "token not valid")
        try:
            return self._answered(request, **match.groupdict())
        except Missing as err:
            return _refused(404, str(err))
        except Conflict as err:
            return _refused(409 if request.method == "POST" else 500, str(err))
        except Transient as err:
            return _refused(500, str(err))

    def _answered(
        self, request: httpx2.Request, what: str, namespace: str, name: str | None, verb: str | None
    ) -> httpx2.Response:
        if namespace != self.api.namespace:
            return _refused(403, "forbidden")
        if what == "workflow-events":
            return self._watched(request)
        body = json.loads(request.content or "{}")
        if request.method == "POST":
            return httpx2.Response(200, json=self.api.create(WORKFLOW, body["workflow"]))
        assert name is not None
        if request.method == "GET":
            return httpx2.Response(200, json=self._existing(name))
        assert body["name"] == name
        return httpx2.Response(200, json=self._done(name, verb or ""))

    def _done(self, name: str, verb: str) -> Json:
        """What the server does itself is what is done without it, and the same test compares the two."""
        self._existing(name)
        direct = Direct(self.api)
        if verb == "retry":
            return direct.retry(name)
        {"stop": direct.stop, "terminate": direct.terminate}[verb](name)
        return self._existing(name)

    def _watched(self, request: httpx2.Request) -> httpx2.Response:
        asked = request.url.params
        name = asked["listOptions.fieldSelector"].removeprefix("metadata.name=")
        seconds = float(asked["listOptions.timeoutSeconds"])
        try:
            events = list(self._events(name, asked["listOptions.resourceVersion"], seconds))
        except Transient as err:
            return httpx2.Response(400, text="data: " + json.dumps({"error": {"message": str(err)}}))
        return httpx2.Response(200, text="".join(f"data: {json.dumps(event)}\n\n" for event in events))

    def _events(self, name: str, version: str, seconds: float) -> Iterator[Json]:
        last: Json = self.api.get(WORKFLOW, name) or {"metadata": {"name": name}}
        try:
            for changed in self.api.watch(WORKFLOW, name, version, seconds):
                last = changed
                yield {"result": {"type": "MODIFIED", "object": changed}}
        except Missing:
            yield {"result": {"type": "DELETED", "object": last}}

    def _existing(self, name: str) -> Json:
        found = self.api.get(WORKFLOW, name)
        if found is None:
            raise Missing(f'workflows.argoproj.io "{name}" not found')
        return found


def _refused(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, json={"code": 2, "message": message})
