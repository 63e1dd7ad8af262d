"""Who asks Hub and store when a command does so for a cluster: the person, on the machine where it is typed."""

import pytest

from steps.clients.kube.errors import Forbidden
from steps.errors import Missing, Refused, StepError, Transient
from workflows.argo.session import from_here
from workflows.config import Config


@pytest.fixture
def config(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Config()


def told(config: Config, err: StepError) -> str:
    with pytest.raises(type(err)) as caught, from_here(config):
        raise err
    return str(caught.value)


@pytest.mark.parametrize("kind", [Missing, Transient])
def test_where_hub_or_store_do_not_answer_it_is_said_who_asked(config, kind):
    assert told(config, kind("no keys")) == (
        "no keys; from this machine Hub and store are asked with your own HF_* and AWS_* variables"
    )


@pytest.mark.parametrize("err", [Forbidden("no right to get services"), Refused("not agreed to")])
def test_what_is_nobodys_keys_is_told_as_it_is(config, err):
    assert told(config, err) == str(err)


def test_each_of_many_questions_is_asked_so(config):
    @from_here(config)
    def ask() -> None:
        raise Missing("no keys")

    for _ in range(2):
        with pytest.raises(Missing, match="your own"):
            ask()
