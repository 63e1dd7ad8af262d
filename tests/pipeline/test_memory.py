"""The steps that move bytes stay under 300 MiB whatever the size of a file, each measured as its own process."""

import struct

import pytest

from steps.clients import store as stores
from steps.contracts import CHECKSUM, MIRROR, POPULATE, ChecksumInputs, MirrorInputs, PopulateInputs
from steps.core import manifest as manifests
from steps.core.manifest import File
from steps.core.names import Layout
from steps.core.release import Document, Release
from steps.settings import PREFIX
from tests.stubs import process
from tests.stubs.hub import LocalHub
from tests.stubs.released import SERVING
from tests.stubs.s3 import S3
from workflows.local.services.hub_disk import publish, repository

SIZE = 2 * 1024**3
LIMIT_MIB = 300
MODEL = "org/large"


def resolved(hub: LocalHub, tmp_path) -> Document:
    """A model of one safetensors file, sparse so that only its copies take room."""
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    length = len(header % (SIZE, SIZE))
    header = header % (SIZE - 8 - length, SIZE - 8 - length)
    (tmp_path / "upload").mkdir()
    with (tmp_path / "upload" / "model.safetensors").open("wb") as f:
        f.write(struct.pack("<Q", length) + header)
        f.truncate(SIZE)
    commit = publish(hub.root, MODEL, tmp_path / "upload", link=True)
    found = repository(hub.root, MODEL)
    assert found
    described = found.commit(commit)
    assert described
    files = tuple(File(path=b.path, size=b.size, sha256=b.sha256) for b in described.files)
    manifest = manifests.build(MODEL, commit, files)
    release = Release(
        deployment="chat",
        model=MODEL,
        commit=commit,
        manifest_sha256=manifest.sha256,
        total_bytes=manifest.total_bytes,
        serving=SERVING,
    )
    return Document(release=release, manifest=manifest)


@pytest.mark.exhaustive
@pytest.mark.timeout(400)  # SeaweedFS takes 18 s of a core for it, and the machine may be busy
def test_a_file_of_two_gib_takes_none_of_the_steps_300_mib(hub: LocalHub, s3: S3, tmp_path, record_property):
    document = resolved(hub, tmp_path)
    release = document.release
    store = stores.connect(s3.settings())
    store.put(Layout().release("chat", release.release_id), document.dump())
    one_pass, two_hops = tmp_path / "one-pass", tmp_path / "two-hops"
    environ = {**hub.environ(), **s3.environ()}
    checked = ChecksumInputs(model=MODEL, commit=release.commit, manifest_sha256=release.manifest_sha256)
    for step, inputs, volume in (
        (MIRROR, MirrorInputs(deployment="chat", release_id=release.release_id), one_pass),
        (POPULATE, PopulateInputs(deployment="chat", release_id=release.release_id), two_hops),
        (CHECKSUM, checked, one_pass),
    ):
        volume.mkdir(exist_ok=True)
        told = {**environ, PREFIX + "VOLUME": str(volume)}
        ended = process.run(step, inputs, told, tmp_path / step.name, timeout=300)
        assert ended.code == 0, ended.stderr
        assert str(SIZE) in ended.outputs.values()
        record_property(f"{step.name} MiB", ended.peak_mib)
        assert 10 < ended.peak_mib < LIMIT_MIB
