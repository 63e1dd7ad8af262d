import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from steps.clients.local.record import ABSENT, RecordFile
from steps.core.record import Record
from steps.errors import BadInput, Conflict, Corrupt

RELEASE, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@pytest.fixture
def file(tmp_path):
    return RecordFile(tmp_path / "serving" / "chat.json")


def test_a_deployment_that_was_never_promoted_has_an_empty_record(file):
    held = file.read()
    assert (held.record, held.version, held.target) == (Record(), ABSENT, None)
    assert not file.path.exists()


def test_what_is_swapped_in_is_read_back(file):
    record = Record(phase="swapping", live=RELEASE, candidate=OTHER, owner="run-1", since=1.5, refused=("c" * 12,))
    written = file.swap(file.read(), record, RELEASE)
    assert file.read() == written
    assert (written.record, written.target) == (record, RELEASE)


def test_the_record_lies_at_the_top_of_the_file_beside_target_and_version(file):
    file.swap(file.read(), Record(live=RELEASE), OTHER)
    assert json.loads(file.path.read_text()) == {**Record(live=RELEASE).to_json(), "target": OTHER, "version": 1}


def test_a_swap_of_what_was_changed_meanwhile_names_phase_and_owner(file):
    held = file.read()
    file.swap(held, Record(phase="testing", owner="run-1"), None)
    with pytest.raises(Conflict, match=r"chat .* phase is testing now and its owner run-1"):
        file.swap(held, Record(), None)
    assert file.read().record.owner == "run-1"


def test_the_same_content_written_again_is_another_version(file):
    first = file.swap(file.read(), Record(), None)
    second = file.swap(first, Record(), None)
    assert first.version != second.version
    with pytest.raises(Conflict):
        file.swap(first, Record(), None)


def test_an_edit_by_hand_is_a_change(file):
    held = file.swap(file.read(), Record(owner="run-1"), None)
    file.path.write_text(file.path.read_text().replace("run-1", "run-2"))
    with pytest.raises(Conflict, match="run-2"):
        file.swap(held, Record(), None)


def test_a_record_that_was_taken_away_is_a_change(file):
    held = file.swap(file.read(), Record(owner="run-1"), None)
    file.path.unlink()
    with pytest.raises(Conflict, match="owner nobody"):
        file.swap(held, Record(), None)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda text: text.replace('"idle"', '"resting"'),
        lambda text: text.replace('"refused": []', '"refused": null'),
        lambda text: text.replace('"target": null', '"target": 7'),
        lambda text: text.replace('"version": 1', '"version": "one"'),
    ],
    ids=["truncated", "empty", "a list", "unknown phase", "no refused", "odd target", "odd version"],
)
def test_a_damaged_record_is_named_and_never_overwritten(file, damage):
    held = file.swap(file.read(), Record(), None)
    file.path.write_text(damage(file.path.read_text()))
    damaged = file.path.read_bytes()
    for look in (file.read, lambda: file.swap(held, Record(), None)):
        with pytest.raises(Corrupt, match=rf"{re.escape(str(file.path))} .*; a person must mend it") as raised:
            look()
        assert "Error" not in str(raised.value), "those are the parser's words"
    assert file.path.read_bytes() == damaged


def test_a_record_with_a_byte_that_is_no_text_is_corrupt(file):
    file.swap(file.read(), Record(owner="run-1"), None)
    file.path.write_bytes(file.path.read_bytes().replace(b"run-1", b"run-\xff"))
    with pytest.raises(Corrupt, match="a person must mend it"):
        file.read()


def test_a_directory_that_is_not_ours_is_said_to_be_so(file):
    file.directory.mkdir(parents=True)
    (file.directory / "record.aside").mkdir()
    with pytest.raises(BadInput, match="see whose directory it is"):
        file.swap(file.read(), Record(), None)


def test_of_sixteen_threads_one_wins(file):
    held = file.swap(file.read(), Record(), None)
    together = threading.Barrier(16)

    def take(number: int) -> bool:
        together.wait()
        try:
            file.swap(held, Record(owner=f"run-{number}"), None)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(take, range(16)))
    assert won.count(True) == 1
    assert file.read().record.owner == f"run-{won.index(True)}"


COUNTER = """
import sys
from dataclasses import replace
from pathlib import Path
from steps.clients.local.record import RecordFile
from steps.errors import Conflict
file, done = RecordFile(Path(sys.argv[1])), 0
while done < 10:
    held = file.read()
    try:
        file.swap(held, replace(held.record, replicas=held.record.replicas + 1), None)
    except Conflict:
        continue
    done += 1
"""


def test_no_change_of_four_processes_is_lost(file):
    counters = [subprocess.Popen([sys.executable, "-c", COUNTER, str(file.path)]) for _ in range(4)]
    assert [counter.wait() for counter in counters] == [0, 0, 0, 0]
    assert file.read().record.replicas == Record().replicas + 40


WRITER = """
import sys
from pathlib import Path
from steps.clients.local.record import RecordFile
from steps.core.record import Record
file = RecordFile(Path(sys.argv[1]))
while True:
    held = file.read()
    number = held.record.replicas + 1
    file.swap(held, Record(replicas=number, refused=(f"{number:012d}",) * 500), f"{number:012d}")
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_record_and_no_lock(file):
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file.path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            said = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            said = max([said, *map(int, writer.stdout.read().split())])
        held = file.read()
        assert held.record.replicas in (said, said + 1)  # written, and perhaps not said any more
        assert held.record.refused[0] == held.target == f"{held.record.replicas:012d}"
    file.swap(file.read(), Record(), None)
