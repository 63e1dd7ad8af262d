"""Rows 46 and 56: checksum with an error at every call to the file system. It never passes for want of a look."""

from collections.abc import Callable
from pathlib import Path

import pytest

from steps import checksum
from steps.clients.volume import Directory
from steps.contracts import CHECKSUM, ChecksumInputs, ChecksumOutputs
from steps.entry import run_step
from steps.settings import PREFIX, Settings
from tests.faults import attempt, volume_state
from tests.faults.attempt import MODEL
from tests.faults.strace import FILES, failing, said, traced

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(300)]


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
def test_a_volume_that_goes_away_while_it_is_read_is_transient_and_no_verdict(tmp_path: Path, error: str, damaged):
    volume = attempt.volume(tmp_path / "volume", attempt.store())
    attempt.run(attempt.store(), volume)
    if damaged:
        (volume_state.published(volume, MODEL) / "config.json").write_bytes(b"[]")
    work, log = step(volume, tmp_path / "message"), tmp_path / "calls"
    verdict = 13 if damaged else 0
    undisturbed = traced(work, log)
    assert undisturbed.code == verdict, said(log)
    calls = undisturbed.touching(volume)
    assert len(calls) > 20
    for call, seen in failing(lambda inject: traced(work, log, FILES, inject), error, calls, volume):
        assert seen.code in (75, verdict), f"{call}\n{said(log)}"
        assert seen.code == 75 or call.name != "read"
    assert traced(work, log).code == verdict


def step(volume: Path, message: Path) -> Callable[[], int]:
    """As its process does it, on one thread."""

    def body(inputs: ChecksumInputs, _settings: Settings) -> ChecksumOutputs:
        return checksum.checksum(inputs, Directory(volume))

    bytes_of = {"model": MODEL.model, "commit": MODEL.commit, "manifest-sha256": MODEL.manifest.sha256}
    environ = {PREFIX + "TERMINATION_LOG": str(message), PREFIX + "OUTPUT_DIR": str(message.parent / "outputs")}

    def work() -> int:
        with attempt.one_thread():
            return run_step(CHECKSUM, body, [f"--{name}={value}" for name, value in bytes_of.items()], environ)

    return work
