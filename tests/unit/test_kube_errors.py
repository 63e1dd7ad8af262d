"""What an API server's refusals become: by status, told with verb, resource and namespace."""

import json

import pytest

from steps.clients.kube.api import DEPLOYMENT, NODE, SERVICE
from steps.clients.kube.errors import Call, Forbidden, Unknown, UnknownKind, failure
from steps.errors import BadInput, Conflict, Missing, Transient


def call(verb="get", kind=SERVICE, name="chat", subresource=""):
    return Call(verb=verb, kind=kind, namespace="models", name=name, subresource=subresource)


def status(message="because", **fields):
    return json.dumps({"kind": "Status", "message": message, **fields})


@pytest.mark.parametrize(
    ("code", "asked", "kind"),
    [
        (401, call(), Unknown),
        (403, call("create"), Forbidden),
        (404, call("list", name=""), UnknownKind),
        (404, call("create"), Missing),
        (409, call("create"), Conflict),
        (409, call("delete"), Conflict),
        (410, call("watch"), Transient),
        (400, call("patch"), BadInput),
        (422, call("create"), BadInput),
        (429, call(), Transient),
        (500, call(), Transient),
        (503, call("patch"), Transient),
    ],
)
def test_each_refusal_is_one_of_ours(code, asked, kind):
    assert type(failure(asked, code, status())) is kind


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (call("get", name="chat"), "no right to get services chat in namespace models: because; see whether"),
        (call("list", DEPLOYMENT, ""), "no right to list deployments in namespace models: because; see whether"),
        (
            call("get", name="x", subresource="log"),
            "no right to get services/log x in namespace models: because; see whether",
        ),
        (call("list", NODE, ""), "no right to list nodes: because; see whether"),
    ],
)
def test_what_may_not_be_done_is_told_as_a_role_would_say_it(asked, said):
    assert str(failure(asked, 403, status())).startswith(said)


def test_to_write_to_what_is_gone_is_a_conflict_and_to_where_nothing_can_be_is_not():
    gone = status(details={"name": "chat", "kind": "services"})
    nowhere = status('namespaces "models" not found', details={"name": "models", "kind": "namespaces"})
    assert type(failure(call("patch"), 404, gone)) is Conflict
    assert type(failure(call("update"), 404, nowhere)) is Missing
    assert type(failure(call("patch"), 404, "page not found")) is Missing


def test_what_is_no_status_is_told_as_it_is_in_one_line_and_not_for_ever():
    assert "<html> no such page </html>" in str(failure(call(), 502, "<html>\n no such page\n</html>"))
    assert len(str(failure(call(), 502, "x" * 10_000))) < 600
    assert "it gave no reason" in str(failure(call(), 500, ""))
