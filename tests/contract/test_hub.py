"""One suite for the Hub in memory and for huggingface_hub on our server; then what only the real one can suffer."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stamina
from huggingface_hub import HfApi, hf_hub_download

from steps import releases
from steps.clients import hub as client
from steps.clients.store import connect
from steps.core.manifest import File
from steps.core.names import Layout
from steps.errors import Corrupt, Missing, Transient
from steps.ports.hub import HubFile
from tests.stubs.hub import FakeHub, LocalHub, endless, failing, flipped, local_hub, reset, short, too_many, whole
from workflows.local.services.hub_answers import Response

MODEL = "org/name"
SOON_SECONDS = 6.0
"""One or two on a quiet machine; the client's own patience is longer."""
WEIGHTS = bytes(range(256)) * 1000
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# a model\n",
    "config.json": b'{"model_type": "x"}',
    "empty.txt": b"",
    "deep/er/caf\u00e9 #1.txt".encode().decode(): b"names are quoted",
    "model.safetensors": WEIGHTS,
}
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
WEIGHTS_FILE = File("model.safetensors", len(WEIGHTS), SHA256)
CANARY = "hf_CANARYcanaryCANARY"


class Subject:
    """A Hub that the test fills, and the port that it is asked through."""

    def __init__(self, behind, port):
        self.publish = behind.publish
        self.configure = behind.configure
        self.port = port


@pytest.fixture(params=["fake", "real"])
def subject(request):
    if request.param == "fake":
        fake = FakeHub()
        return Subject(fake, fake)
    hub = request.getfixturevalue("hub")
    return Subject(hub, client.connect(hub.settings()))


@pytest.fixture
def real(hub):
    return client.connect(hub.settings(STALL_SECONDS="20"))


@pytest.fixture
def at_once():
    """As many tries as ever, without the time between them."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


def answering(body):
    return lambda _: Response(status=200, headers={"Content-Length": str(len(body))}, body=[body])


def opened(hub, port):
    return port.open(MODEL, hub.publish(MODEL, FILES), WEIGHTS_FILE)


class TestAnyHub:
    def test_a_branch_is_at_the_commit_published_last(self, subject):
        first = subject.publish(MODEL, FILES)
        assert subject.port.commit(MODEL, "main") == first

        second = subject.publish(MODEL, {**FILES, "config.json": b"{}"})
        assert subject.port.commit(MODEL, "main") == second != first
        assert subject.port.commit(MODEL, first) == first

    def test_publishing_the_same_again_is_the_same_commit(self, subject):
        assert subject.publish(MODEL, FILES) == subject.publish(MODEL, FILES, branch="refs/pr/1")
        assert subject.port.commit(MODEL, "refs/pr/1") == subject.port.commit(MODEL, "main")

    def test_when_a_commit_was_made_is_told_and_of_one_that_is_not_there_nothing(self, subject):
        older = subject.publish(MODEL, FILES)
        time.sleep(0.002)  # dates are kept to the millisecond: in the same one neither would be the older
        newer = subject.publish(MODEL, {**FILES, "config.json": b"{}"})
        first, second = (subject.port.committed(MODEL, commit) for commit in (older, newer))
        assert first < second
        assert subject.port.committed(MODEL, older) == first
        assert subject.port.committed(MODEL, "f" * 40) is None

    def test_a_tree_names_every_file_with_size_and_digest(self, subject):
        commit = subject.publish(MODEL, FILES)
        tree = subject.port.tree(MODEL, commit)

        assert (tree.model, tree.commit) == (MODEL, commit)
        assert {f.path: f.size for f in tree.files} == {path: len(body) for path, body in FILES.items()}
        assert {f.path: f.sha256 for f in tree.files if f.sha256} == {"model.safetensors": SHA256}

    def test_small_files_come_whole(self, subject):
        commit = subject.publish(MODEL, FILES)
        small = [f for f in subject.port.tree(MODEL, commit).files if f.sha256 is None]

        assert {f.path: subject.port.small_file(MODEL, commit, f) for f in small} == {
            path: body for path, body in FILES.items() if path != "model.safetensors"
        }

    def test_a_small_file_that_is_not_its_blob_is_corrupt(self, subject):
        commit = subject.publish(MODEL, FILES)
        with pytest.raises(Corrupt, match=r"config\.json"):
            subject.port.small_file(MODEL, commit, HubFile(path="config.json", size=19, blob_id="0" * 40, sha256=None))

    @pytest.mark.parametrize("span", [(0, 1), (0, len(WEIGHTS)), (255, 257), (len(WEIGHTS) - 1, len(WEIGHTS)), (7, 7)])
    def test_a_range_is_exactly_those_bytes(self, subject, span):
        ranges = subject.port.open(MODEL, subject.publish(MODEL, FILES), WEIGHTS_FILE)
        assert ranges.read(*span) == WEIGHTS[slice(*span)]

    def test_ranges_are_read_from_several_threads(self, subject):
        ranges = subject.port.open(MODEL, subject.publish(MODEL, FILES), WEIGHTS_FILE)
        with ThreadPoolExecutor(8) as threads:
            pieces = list(threads.map(lambda start: ranges.read(start, start + 8000), range(0, len(WEIGHTS), 8000)))
        assert b"".join(pieces) == WEIGHTS

    def test_what_does_not_exist_is_missing(self, subject):
        commit = subject.publish(MODEL, FILES)

        for ask in (
            lambda hub: hub.commit("no/such", "main"),
            lambda hub: hub.commit(MODEL, "no-such"),
            lambda hub: hub.commit(MODEL, "0" * 40),
            lambda hub: hub.tree(MODEL, "0" * 40),
            lambda hub: hub.open(MODEL, commit, File("no-such", 1, SHA256)).read(0, 1),
        ):
            with pytest.raises(Missing):
                ask(subject.port)

    def test_a_gated_model_gives_no_file(self, subject):
        commit = subject.publish(MODEL, FILES)
        subject.configure(MODEL, gated=True)

        with pytest.raises(Missing, match=r"gated.*accept its terms"):
            subject.port.open(MODEL, commit, WEIGHTS_FILE).read(0, 1)
        with pytest.raises(Missing, match=r"gated.*accept its terms"):
            subject.port.small_file(MODEL, commit, subject.port.tree(MODEL, commit).files[0])

    def test_a_private_model_is_as_one_that_does_not_exist(self, subject):
        subject.publish(MODEL, FILES)
        subject.configure(MODEL, private=True)
        with pytest.raises(Missing, match=r"does not exist.*or is private"):
            subject.port.commit(MODEL, "main")

    def test_a_renamed_model_is_named(self, subject):
        subject.publish("new/name", FILES)
        subject.publish(MODEL, FILES)
        subject.configure(MODEL, renamed_to="new/name")
        with pytest.raises(Missing, match="org/name is called new/name"):
            subject.port.commit(MODEL, "main")


class TestWhoAsks:
    def test_a_token_opens_what_it_may_read(self, hub, monkeypatch):
        commit = hub.publish(MODEL, FILES)
        hub.configure(MODEL, gated=True, private=True)
        (hub.root / "tokens.json").write_text(json.dumps({CANARY: [MODEL], "hf_other": []}))
        monkeypatch.setenv("HF_TOKEN", CANARY + "\n")  # as a Secret made from a file has it

        port = client.connect(hub.settings())
        assert port.commit(MODEL, "main") == commit
        assert port.open(MODEL, commit, WEIGHTS_FILE).read(0, 10) == WEIGHTS[:10]

    def test_no_token_leaves_the_hub_s_own_address(self, hub, monkeypatch):
        monkeypatch.setenv("HF_TOKEN", CANARY)
        port = client.connect(hub.settings())
        port.open(MODEL, hub.publish(MODEL, FILES), WEIGHTS_FILE).read(0, 10)

        assert [r.token for r in hub.seen if r.kind == "download"] == [None]
        assert {r.token for r in hub.seen if r.kind != "download"} == {CANARY}

    def test_not_even_when_the_hub_redirects_a_question(self, hub, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_TOKEN", CANARY)
        hub.publish(MODEL, FILES)
        with local_hub(tmp_path / "elsewhere") as elsewhere:
            elsewhere.publish(MODEL, FILES)
            away = {"Location": f"{elsewhere.endpoint}/api/models/{MODEL}/revision/main", "Content-Length": "0"}
            fault = hub.inject("info", lambda _: Response(status=307, headers=away))
            client.connect(hub.settings()).commit(MODEL, "main")

            assert fault.hit == 1
            assert [r.token for r in elsewhere.seen] == [None]

    def test_a_login_that_the_machine_remembers_is_not_used(self, hub, tmp_path):
        hub.publish(MODEL, FILES)
        home = tmp_path / "home"
        home.mkdir()
        (home / "token").write_text(CANARY)
        script = (
            "import os\nfrom steps.clients.hub import connect\nfrom steps.settings import from_environment\n"
            f"print(connect(from_environment(os.environ)).commit({MODEL!r}, 'main'))"
        )
        environ = {**hub.environ(), "HF_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", script], env=environ, check=True, capture_output=True)

        assert [(r.kind, r.token) for r in hub.seen] == [("info", None)]
        assert [p.name for p in home.rglob("*")] == ["token"]  # nor is anything written there

    def test_a_token_that_is_none_is_told_from_a_model_that_is_none(self, hub, monkeypatch):
        hub.publish(MODEL, FILES)
        (hub.root / "tokens.json").write_text(json.dumps({"hf_other": []}))
        monkeypatch.setenv("HF_TOKEN", CANARY)
        with pytest.raises(Missing, match="does not know the token in HF_TOKEN") as caught:
            client.connect(hub.settings()).commit(MODEL, "main")
        assert CANARY not in str(caught.value)

    def test_a_token_without_access_to_a_gated_model_is_told_so(self, hub, monkeypatch):
        commit = hub.publish(MODEL, FILES)
        hub.configure(MODEL, gated=True)
        monkeypatch.setenv("HF_TOKEN", CANARY)
        with pytest.raises(Missing, match=f"gated, and the token in HF_TOKEN may not.*{hub.endpoint}/{MODEL}"):
            client.connect(hub.settings()).open(MODEL, commit, WEIGHTS_FILE).read(0, 1)


class TestEveryFailureHasItsSentence:
    @pytest.mark.parametrize(
        ("change", "error", "said"),
        [
            pytest.param(failing(401, "GatedRepo", "restricted"), Missing, "is gated", id="gated-401"),
            pytest.param(failing(403, "GatedRepo", "restricted"), Missing, "is gated", id="gated-403"),
            pytest.param(
                failing(403, message="Access to this resource is disabled."), Missing, "is disabled", id="disabled"
            ),
            pytest.param(failing(403), Missing, "does not let a visitor without HF_TOKEN read org/name", id="403"),
            pytest.param(failing(404), Missing, r"answered 404.*check the model's name and HF_ENDPOINT", id="404"),
            pytest.param(failing(451), Missing, "answered 451", id="451"),
            pytest.param(
                lambda _: Response(status=200, headers={"Content-Length": "6"}, body=[b"<html>"]),
                Transient,
                "gave an answer about org/name that is no Hub's",
                id="html",
            ),
        ],
    )
    def test_refusals_are_told_apart_at_once(self, hub, real, change, error, said):
        hub.publish(MODEL, FILES)
        fault = hub.inject("info", change)
        started = time.monotonic()

        with pytest.raises(error, match=said) as caught:
            real.commit(MODEL, "main")
        assert fault.hit == hub.count("info") == 1
        assert time.monotonic() - started < SOON_SECONDS
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            *(("info", body) for body in (b"{}", b"[]", b"null", b'"a"')),
            *(("tree", body) for body in (b"null", b'"a"', b'[{"type": "file"}]', b"[1]")),
        ],
    )
    def test_json_that_is_no_hubs_is_told_and_not_a_bug(self, hub, real, kind, body):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject(kind, answering(body))

        with pytest.raises(Transient, match="gave an answer about org/name that is no Hub's"):
            real.commit(MODEL, "main") if kind == "info" else real.tree(MODEL, commit)
        assert fault.hit == 1

    @pytest.mark.parametrize(
        "change",
        [
            failing(404),
            failing(429),
            failing(500),
            *(answering(body) for body in (b"<html>", b"[]", b"[7]", b'[{"id":0}]')),
        ],
        ids=["404", "429", "500", "no JSON", "nothing", "a number", "another commit"],
    )
    def test_who_does_not_tell_when_a_commit_was_made_fails_nobody(self, hub, real, change):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject("commits", change)
        assert real.committed(MODEL, commit) is None
        assert fault.hit == 1

    def test_a_pinned_commit_that_is_answered_with_another_is_corrupt(self, hub, real):
        first = hub.publish(MODEL, FILES)
        second = hub.publish(MODEL, {**FILES, "config.json": b"{}"})
        body = json.dumps({"id": MODEL, "sha": second, "tags": [], "siblings": []}).encode()
        fault = hub.inject("info", answering(body))

        with pytest.raises(Corrupt, match=f"answered with commit {second} of org/name when asked for {first}"):
            real.commit(MODEL, first)
        assert fault.hit == 1

    @pytest.mark.parametrize(
        "change",
        [failing(500), failing(502), failing(503), failing(408), reset(0), short(3)],
        ids=["failing-500", "failing-502", "failing-503", "failing-408", "reset-0", "short-3"],
    )
    @pytest.mark.usefixtures("at_once")
    def test_what_passes_within_seconds_is_waited_out(self, hub, real, change):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject("info", change, times=2)

        assert real.commit(MODEL, "main") == commit
        assert fault.hit == 2

    def test_a_hub_in_trouble_is_known_within_two_seconds(self, hub, real):
        hub.inject("info", failing(503), times=99)
        started = time.monotonic()

        with pytest.raises(Transient, match=r"answered 503 when asked for org/name; run again later"):
            real.commit(MODEL, "main")
        assert hub.count("info") == 3
        assert time.monotonic() - started < SOON_SECONDS

    def test_a_hub_that_is_not_there_is_known_within_a_second(self, tmp_path):
        with local_hub(tmp_path) as gone:
            settings = gone.settings()
        port = client.connect(settings)
        started = time.monotonic()

        with pytest.raises(Transient, match=rf"{settings.hub_endpoint} cannot be reached .*check the network"):
            port.commit(MODEL, "main")
        assert time.monotonic() - started < SOON_SECONDS

    def test_the_hub_is_not_asked_where_the_environment_forbids_it(self, hub, tmp_path):
        script = (
            "import os\nfrom steps.clients.hub import connect\nfrom steps.settings import from_environment\n"
            f"connect(from_environment(os.environ)).commit({MODEL!r}, 'main')"
        )
        environ = {**hub.environ(), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", script], env=environ, check=False, capture_output=True, text=True)

        assert "Transient: the Hub is not asked because HF_HUB_OFFLINE is set" in done.stderr
        assert not hub.seen

    def test_a_limit_is_obeyed_as_the_hub_says(self, hub, real, caplog):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject("info", too_many(1))
        started = time.monotonic()

        assert real.commit(MODEL, "main") == commit
        assert fault.hit == 1
        assert 1 <= time.monotonic() - started < 1 + SOON_SECONDS
        assert "answered 429; asking again in 1 s" in caplog.text

    def test_retry_after_is_obeyed_as_well(self, hub, real):
        hub.publish(MODEL, FILES)
        fault = hub.inject("info", failing(429, Retry_After="1"))
        started = time.monotonic()

        real.commit(MODEL, "main")
        assert fault.hit == 1
        assert time.monotonic() - started >= 1

    @pytest.mark.parametrize(
        ("kind", "ask"),
        [
            ("info", lambda hub, _: hub.commit(MODEL, "main")),
            ("tree", lambda hub, commit: hub.tree(MODEL, commit)),
            ("file", lambda hub, commit: hub.open(MODEL, commit, WEIGHTS_FILE).read(0, 1)),
        ],
    )
    def test_a_limit_for_longer_than_we_wait_ends_the_attempt_and_says_when(self, hub, real, kind, ask):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject(kind, too_many(4000))
        with pytest.raises(Transient, match="no more requests for 4000 s; run again then"):
            ask(real, commit)
        assert fault.hit == 1

    @pytest.mark.parametrize("kind", ["info", "tree", "file"])
    @pytest.mark.parametrize("status", [408, 503])
    def test_a_hub_in_trouble_that_wants_to_be_left_alone_for_long_ends_the_attempt(self, hub, real, kind, status):
        commit = hub.publish(MODEL, FILES)
        fault = hub.inject(kind, failing(status, Retry_After="4000"))
        ask = {
            "info": lambda: real.commit(MODEL, "main"),
            "tree": lambda: real.tree(MODEL, commit),
            "file": lambda: real.open(MODEL, commit, WEIGHTS_FILE).read(0, 1),
        }
        with pytest.raises(Transient, match=f"answered {status} and takes no requests for 4000 s; run again then"):
            ask[kind]()
        assert fault.hit == 1

    def test_a_stall_says_how_long_no_byte_came(self, hub):
        commit = hub.publish(MODEL, FILES)
        port = client.connect(hub.settings(STALL_SECONDS="0.5"))
        fault = hub.inject("download", hub.stalled(after=5))

        with pytest.raises(Transient, match=r"no byte of model\.safetensors of org/name came from .* for 0\.5 s"):
            port.open(MODEL, commit, WEIGHTS_FILE).read(0, 1000)
        assert fault.hit == 1

    def test_questions_without_a_time_limit_of_their_own_get_one(self, hub):
        commit = hub.publish(MODEL, FILES)
        port = client.connect(hub.settings(STALL_SECONDS="0.3"))
        hub.inject("info", hub.stalled(after=1), times=99)
        fault = hub.inject("tree", hub.stalled(after=1), times=1)

        with pytest.raises(Transient, match=r"no byte of org/name came from .* for 0\.3 s"):
            port.commit(MODEL, "main")
        assert port.tree(MODEL, commit).files  # huggingface_hub's own second try
        assert fault.hit == 1


@pytest.mark.usefixtures("at_once")
class TestBytes:
    @pytest.mark.parametrize(
        "change",
        [short(10), reset(10), failing(500), failing(502), whole],
        ids=["short-10", "reset-10", "failing-500", "failing-502", "whole"],
    )
    def test_a_range_that_breaks_is_read_again_until_it_is_right(self, hub, real, change):
        ranges = opened(hub, real)
        fault = hub.inject("download", change, times=1)

        assert ranges.read(100, 900) == WEIGHTS[100:900]
        assert fault.hit == 1
        assert hub.count("download") == 2

    @pytest.mark.parametrize("change", [short(10), whole], ids=["short-10", "whole"])
    def test_a_wrong_answer_is_never_taken_for_the_range(self, hub, real, change):
        ranges = opened(hub, real)
        fault = hub.inject("download", change, times=99)

        with pytest.raises(Transient, match=r"the connection to .* broke while model\.safetensors"):
            ranges.read(100, 900)
        assert fault.hit == 5

    def test_more_than_was_asked_for_is_not_read(self, hub, real):
        ranges = opened(hub, real)
        fault = hub.inject("download", endless)

        assert ranges.read(100, 900) == WEIGHTS[100:900]
        assert fault.hit == 1

    def test_flipped_bits_pass_here_because_the_step_that_has_the_digest_checks_them(self, hub, real):
        ranges = opened(hub, real)
        assert hub.inject("download", flipped)
        assert ranges.read(0, 2) == bytes([WEIGHTS[0] ^ 1, WEIGHTS[1]])

    def test_a_damaged_small_file_is_corrupt(self, hub, real):
        commit = hub.publish(MODEL, FILES)
        config = next(f for f in real.tree(MODEL, commit).files if f.path == "config.json")
        fault = hub.inject("file", flipped, path="config.json", times=9)

        with pytest.raises(Corrupt, match=r"config\.json of org/name has blob id"):
            real.small_file(MODEL, commit, config)
        assert fault.hit > 0

    def test_the_download_address_is_found_once_for_all_threads(self, hub, real):
        ranges = opened(hub, real)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda start: ranges.read(start, start + 100), range(0, 10000, 100)))

        assert hub.count("file") == 1
        assert hub.count("download") == 100

    def test_an_address_that_is_refused_is_renewed_once_for_all_threads(self, hub, real):
        ranges = opened(hub, real)
        ranges.read(0, 1)
        fault = hub.inject("download", failing(403), times=4)
        with ThreadPoolExecutor(4) as threads:
            pieces = list(threads.map(lambda start: ranges.read(start, start + 100), range(0, 400, 100)))

        assert b"".join(pieces) == WEIGHTS[:400]
        assert fault.hit == 4
        assert 2 <= hub.count("file") <= 5

    def test_an_expired_address_is_renewed(self, tmp_path):
        with local_hub(tmp_path, signed_seconds=1.0) as hub:
            port = client.connect(hub.settings())
            ranges = opened(hub, port)
            assert ranges.read(0, 4) == WEIGHTS[:4]
            deadline = time.monotonic() + 60
            while hub.count("file") < 2:  # until a read met the expiry
                assert ranges.read(4, 8) == WEIGHTS[4:8]
                assert time.monotonic() < deadline

        refused = [r for r in hub.seen if r.kind == "download"]
        assert len(refused) >= 3

    def test_signed_addresses_are_not_logged(self, hub, real, caplog):
        caplog.set_level("INFO")
        hub.inject("download", reset(0))
        opened(hub, real).read(0, 10)

        assert "asking again" in caplog.text
        assert "signature" not in caplog.text

    def test_a_branch_that_moves_moves_nothing_that_was_resolved(self, hub, real):
        first = hub.publish(MODEL, FILES)
        hub.publish(MODEL, {**FILES, "model.safetensors": WEIGHTS[::-1], "new.txt": b""})

        assert [f.path for f in real.tree(MODEL, first).files if f.path == "new.txt"] == []
        assert real.open(MODEL, first, WEIGHTS_FILE).read(0, 100) == WEIGHTS[:100]


class TestOurServerIsAHub:
    """What keeps the imitation honest: the library's own calls, none of which the pipeline makes."""

    def test_the_library_downloads_a_file(self, hub, tmp_path):
        commit = hub.publish(MODEL, FILES)
        for name in ("model.safetensors", "README.md"):
            path = hf_hub_download(MODEL, name, endpoint=hub.endpoint, cache_dir=tmp_path / "cache", token=False)
            assert Path(path).read_bytes() == FILES[name]
            assert commit in path

    def test_the_library_lists_what_there_is(self, hub):
        commit = hub.publish(MODEL, FILES)
        hub.publish(MODEL, {**FILES, "x.txt": b""}, branch="dev")
        api = HfApi(endpoint=hub.endpoint, token=False)

        assert {b.name: b.target_commit == commit for b in api.list_repo_refs(MODEL).branches} == {
            "main": True,
            "dev": False,
        }
        assert [i.path for i in api.get_paths_info(MODEL, ["model.safetensors", "no"], revision="main")] == [
            "model.safetensors"
        ]
        assert {i.path for i in api.list_repo_tree(MODEL)} == {*FILES, "deep"} - {"deep/er/caf\u00e9 #1.txt"}
        assert {i.path for i in api.list_repo_tree(MODEL, "deep", recursive=True)} == {
            "deep/er",
            "deep/er/caf\u00e9 #1.txt",
        }
        assert api.model_info(MODEL).tags == ["license:mit"]

    def test_a_tree_comes_in_pages(self, tmp_path):
        with local_hub(tmp_path, page_size=10) as hub:
            commit = hub.publish(MODEL, {f"{n:03}.txt": b"" for n in range(95)})
            tree = client.connect(hub.settings()).tree(MODEL, commit)

        assert len(tree.files) == 95
        assert hub.count("tree") == 10

    @pytest.mark.parametrize(
        ("asked", "status", "told"),
        [
            ("bytes=0-4", 206, "bytes 0-4/256000"),
            ("bytes=255999-", 206, "bytes 255999-255999/256000"),
            ("bytes=255990-999999", 206, "bytes 255990-255999/256000"),
            ("bytes=256000-", 416, "bytes */256000"),
            ("bytes=0-1,3-4", 200, None),
        ],
    )
    def test_ranges_are_answered_as_http_says(self, hub, asked, status, told):
        import httpx2

        hub.publish(MODEL, FILES)
        address = f"{hub.endpoint}/{MODEL}/resolve/main/model.safetensors"
        answer = httpx2.get(address, headers={"Range": asked}, follow_redirects=True)

        assert (answer.status_code, answer.headers.get("Content-Range")) == (status, told)

    def test_a_forged_address_is_refused(self, hub):
        import httpx2

        hub.publish(MODEL, FILES)
        signed = httpx2.head(f"{hub.endpoint}/{MODEL}/resolve/main/model.safetensors").headers["Location"]

        assert httpx2.get(signed).status_code == 200
        assert httpx2.get(re.sub("expires=[0-9.]+", "expires=99999999999", signed)).status_code == 403
        assert httpx2.get(signed.replace("model.safetensors", "config.json")).status_code == 403


class TestTheDaemon:
    def test_it_is_found_again_keeps_its_port_and_leaves_nothing(self, tmp_path):
        from steps.clients.local.daemon import Daemon, running
        from workflows.local import hub as local

        local.publish(tmp_path / "root", MODEL, _upload(tmp_path))
        endpoint = local.start(tmp_path, tmp_path / "root")
        try:
            assert endpoint.startswith("http://127.0.0.1:")
            assert client.connect(LocalHub(tmp_path, endpoint=endpoint).settings()).commit(MODEL, "main")
            assert local.start(tmp_path, tmp_path / "root") == endpoint

            local.stop(tmp_path)
            assert running(Daemon(tmp_path / "services", "hub")) is None
            assert local.start(tmp_path, tmp_path / "root") == endpoint
        finally:
            local.stop(tmp_path)

    def test_two_that_start_it_at_once_share_one(self, tmp_path):
        from workflows.local import hub as local

        (tmp_path / "root").mkdir()
        found = []
        starters = [
            threading.Thread(target=lambda: found.append(local.start(tmp_path, tmp_path / "root"))) for _ in range(3)
        ]
        try:
            for starter in starters:
                starter.start()
            for starter in starters:
                starter.join()
        finally:
            local.stop(tmp_path)
        assert len(found) == 3
        assert len(set(found)) == 1


def _upload(tmp_path):
    directory = tmp_path / "upload"
    directory.mkdir()
    (directory / "config.json").write_bytes(b"{}")
    return directory


class TestTheStep:
    """resolve as Argo runs it: a process, the real Hub client, a real S3."""

    def resolve(self, hub, s3, tmp_path, revision="main", **more):
        environ = {
            "PATH": os.defpath,
            **hub.environ(),
            **s3.environ(),
            "VLLM_PROMOTE_SERVING": f"local://{tmp_path}",
            "VLLM_PROMOTE_CATALOG": str(tmp_path / "none.yaml"),
            "VLLM_PROMOTE_OUTPUT_DIR": str(tmp_path / "outputs"),
            "VLLM_PROMOTE_TERMINATION_LOG": str(tmp_path / "message"),
            **more,
        }
        argv = ["-m", "steps.resolve", f"--model={MODEL}", f"--revision={revision}", "--deployment=chat"]
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, *argv], cwd=root, env=environ, capture_output=True, text=True, check=False
        )
        assert CANARY not in done.stderr
        return done

    def test_it_writes_the_release_and_then_finds_it_written(self, hub, s3, tmp_path):
        commit = hub.publish(MODEL, FILES)
        (hub.root / "tokens.json").write_text(json.dumps({CANARY: []}))
        for _ in range(2):
            done = self.resolve(hub, s3, tmp_path, HF_TOKEN=CANARY)
            assert done.returncode == 0, done.stderr
        release_id = (tmp_path / "outputs" / "release_id").read_text()
        document = releases.read(connect(s3.settings()), Layout(), "chat", release_id)

        assert document.release.commit == (tmp_path / "outputs" / "commit").read_text() == commit
        assert {f.path for f in document.manifest.files} == set(FILES)
        assert CANARY.encode() not in document.dump()

    def test_a_gated_model_is_exit_12_before_a_weight_moves(self, hub, s3, tmp_path):
        hub.publish(MODEL, FILES)
        hub.configure(MODEL, gated=True)
        done = self.resolve(hub, s3, tmp_path, HF_TOKEN=CANARY)

        assert done.returncode == 12
        assert "is gated, and the token in HF_TOKEN may not; accept its terms" in (tmp_path / "message").read_text()
        assert not (tmp_path / "outputs").exists()
        assert hub.count("download") == 0

    def test_a_hub_that_is_not_there_is_exit_75(self, hub, s3, tmp_path):
        done = self.resolve(hub, s3, tmp_path, HF_ENDPOINT="http://127.0.0.1:1")

        assert done.returncode == 75
        assert "cannot be reached" in (tmp_path / "message").read_text()
