import os
from threading import Thread

import pytest

from steps.settings import from_environment
from workflows.config import Config
from workflows.local.verbs import session
from workflows.local.verbs.session import Session
from workflows.local.verbs.storing import Later


class Environment(dict[str, str]):
    """Says what leaves it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.left = []

    def pop(self, name, *default):
        if name in self:
            self.left.append(name)
        return super().pop(name, *default)


@pytest.fixture
def environ(monkeypatch):
    made = Environment({"PATH": "/bin", "AWS_ACCESS_KEY_ID": "theirs", "AWS_PROFILE": "theirs"})
    monkeypatch.setattr(os, "environ", made)
    return made


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """The environments that a session was begun with."""
    seen = []

    def begin(_config, environ):
        seen.append(dict(environ))
        settings = from_environment({"VLLM_PROMOTE_SERVING": f"local://{tmp_path}"})
        ours = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "ours"}
        return Session(home=tmp_path, settings=settings, given={"AWS_ENDPOINT_URL": "http://s3"}, s3=ours, hub={})

    monkeypatch.setattr(session, "begin", begin)
    monkeypatch.setattr("steps.clients.store.connect", lambda settings: settings)
    return seen


def test_nothing_is_begun_before_it_is_wanted_and_then_once(environ, begun):
    later = Later(Config())
    assert begun == []
    threads = [Thread(target=later) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [told["AWS_ACCESS_KEY_ID"] for told in begun] == ["theirs"]


def test_nothing_leaves_the_environment_while_others_may_read_it(environ, begun):
    later = Later(Config())
    assert sorted(environ.left) == ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]
    environ.left.clear()
    later()
    later()
    assert environ.left == []
    assert (environ["AWS_ACCESS_KEY_ID"], environ["AWS_ENDPOINT_URL"]) == ("ours", "http://s3")
    assert "AWS_PROFILE" not in environ
