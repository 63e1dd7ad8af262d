"""Worlds: one for a test of its own, or one a module in which a good model serves already."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stubs.s3 import S3
from tests.stubs.world import World
from tests.stubs.world import world as one_world


@pytest.fixture
def world(tmp_path: Path, s3_server: S3) -> Iterator[World]:
    with one_world(tmp_path, s3_server) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, s3_server: S3) -> Iterator[World]:
    """Its tests leave a good model serving."""
    with one_world(tmp_path_factory.mktemp("served"), s3_server) as made:
        made.publish(seed=1)
        ended = made.promote()
        assert ended.code == 0, ended.text
        yield made
