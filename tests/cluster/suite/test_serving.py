"""The contract of serving, kept by the adapter of a real cluster."""

import pytest

from tests.cluster.suite.serving_bench import ClusterBench
from tests.contract.test_serving import *  # noqa: F403  # the same tests, over another bench


@pytest.fixture
def bench(estate):
    return ClusterBench(estate)
