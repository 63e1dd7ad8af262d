"""The contract of serving, kept by the adapter of a real cluster; and what it says of what keeps a pod there."""

import json
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from steps.clients.kube.api import SERVICE, Kind
from steps.core import labels
from steps.core.record import Record
from steps.core.workload import Where
from tests.cluster.suite.serving_bench import ClusterBench
from tests.contract.test_serving import *  # noqa: F403  # the same tests, over another bench
from tests.contract.test_serving import OWNER

QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
DEVICE = "vllm-promote.test/bench"
SECONDS = 60.0
"""Within which a person knows what is wrong: on a quiet machine a few, of which its node takes most."""


@pytest.fixture  # type: ignore[no-redef]  # another one is the point
def bench(estate):
    return ClusterBench(estate)


@pytest.fixture
def started(bench):
    """Have a changed release started; returns what its pods wait for, or why they failed, once that is ``like``."""
    bench.own()

    def start(like, replicas=1, seconds=SECONDS, **serving_fields):
        made = bench.release(1)
        release = replace(made, serving=replace(made.serving, **serving_fields))
        bench.serving.ensure(release, replicas, OWNER)
        return heard(bench.serving, release, like, seconds)

    return start


def heard(serving, release, like, seconds):
    deadline, said = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        said = [text for p in serving.pods(release.release_id) for text in (p.waiting, p.failure) if text]
        if found := [text for text in said if like in text]:
            return found[0]
        time.sleep(0.2)
    return pytest.fail(f"nothing like {like!r} was said, but {said}")


@contextmanager
def quota(bench, **hard):
    """From when on it holds: the API server learns of a new one a moment later, and lets pods be made until then."""
    api = bench.estate.api
    api.create(QUOTA, {**QUOTA.header, "metadata": {"name": "tight"}, "spec": {"hard": hard}})
    try:
        bench.until(lambda: (api.get(QUOTA, "tight") or {}).get("status", {}).get("hard"))
        yield
    finally:
        api.delete(QUOTA, "tight")


def test_who_holds_what_is_short_is_told_to_who_wants_it(node, bench, started):
    wanted = {"limits": {DEVICE: "1"}}
    held = f"{DEVICE} is held by {bench.deployment}-"  # by nobody, until it is written where the first pod goes
    with node.having(DEVICE, 1):
        said = started(held, replicas=2, pod=json.dumps({"resources": wanted}))
    assert f"no node takes it: 0/1 nodes are available: 1 Insufficient {DEVICE}" in said


def test_an_image_that_there_is_not_is_final(bench, started):
    said = started("cannot be pulled: ", image="vllm-promote-test/absent:1", seconds=240)
    assert said.startswith("its image vllm-promote-test/absent:1 cannot be pulled: ")


def test_a_secret_that_there_is_not_is_named(bench, started):
    variable = {"name": "PROXY", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k"}}}
    said = started("its container cannot be made", pod=json.dumps({"env": [variable]}))
    assert said.endswith('secret "absent" not found')


def test_a_claim_that_there_is_not_is_named(bench, started):
    bench.serving = replace(bench.serving, where=Where(claim="absent", volume="/models"))
    assert "no node takes it" in started('persistentvolumeclaim "absent" not found')


def test_a_quota_that_is_used_up_is_told_though_there_is_no_pod(bench, started):
    with quota(bench, **{"requests.nvidia.com/gpu": "0"}):
        said = started("exceeded quota: tight", device="cuda", gpus=1)
        assert said.startswith("the cluster refuses to make its pod")
        assert bench.serving.releases()


def test_a_server_that_wants_more_memory_than_it_may_have_says_so(bench, started):
    said = started("OOMKilled", seconds=120, pod=json.dumps({"resources": {"limits": {"memory": "8Mi"}}}))
    assert "its limit is 8Mi" in said


@pytest.mark.parametrize(
    "port", [{"port": 80, "targetPort": 8080}, {"name": "http", "port": 8080, "targetPort": "web"}]
)
def test_a_service_that_is_handed_over_leads_where_it_did_until_the_pointer_moves(estate, bench, port):
    metadata = {"name": bench.deployment, "labels": {labels.PART_OF: labels.PROJECT}}
    spec = {"selector": {"app": "old"}, "ports": [port]}
    made = estate.api.create(SERVICE, {**SERVICE.header, "metadata": metadata, "spec": spec})["spec"]

    def now():
        found = estate.api.get(SERVICE, bench.deployment)["spec"]
        return found["selector"], {p["port"]: p["targetPort"] for p in found["ports"]}

    bench.own()
    assert now() == (made["selector"], {port["port"]: port["targetPort"]})
    bench.own(None)  # as a first promotion that failed leaves it
    held = bench.serving.read()
    assert held.target is None
    bench.serving.point(held, Record(live="a" * 12), "a" * 12)
    assert now() == (labels.pods(bench.deployment, "a" * 12), dict.fromkeys({80, port["port"]}, 8000))
