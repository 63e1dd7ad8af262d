"""The Job that makes a node ready for a release, and what is read from how far it is."""

import json

import pytest

from steps.core import labels, preparation, workload
from steps.core.preparation import READER
from steps.core.workload import Where
from tests.stubs.local import a_release

AROUND = Where(claim="models", volume="/models", image="ours:1")
RELEASE = a_release(1, image="vllm:1", device="cuda", gpus=1, pod="{}")
RUNS: dict[str, object] = {"running": {}}
SHOWN = {"terminated": {"exitCode": 0}}
READ = {"terminated": {"exitCode": 0, "message": "1.0 GiB of 1.0 GiB are in memory"}}
LASTED = 100.0


def pod_of(release, around=AROUND):
    return preparation.job(release, around, "node-1", 60, "run-1")["spec"]["template"]["spec"]


def waits(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def seen(image, reader, *, around=AROUND, now=LASTED, **status):
    """What is made of a pod whose containers are in these states."""
    states = {"vllm": image, READER: reader}
    told = [{"name": name, "state": state} for name, state in states.items() if state is not None]
    pod = {"metadata": {}, "spec": pod_of(RELEASE, around), "status": {"containerStatuses": told, **status}}
    failed = {"reason": "Failed", "firstTimestamp": "1970-01-01T00:00:01Z", "lastTimestamp": "1970-01-01T00:00:05Z"}
    return preparation.state(pod, [failed], now)


def test_its_pod_is_on_that_node_restricted_and_asks_for_no_device():
    pod = pod_of(RELEASE)
    assert pod["nodeName"] == "node-1"
    assert pod["securityContext"] == workload.RESTRICTED_POD
    assert [c["securityContext"] for c in pod["containers"]] == [workload.RESTRICTED] * 3
    assert all(set(c["resources"]["requests"]) == {"cpu", "memory"} for c in pod["containers"])
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (workload.ACCOUNT, False)


def test_it_has_the_releases_own_image_pulled_and_ours_read_its_files():
    reader, holder, image = pod_of(RELEASE)["containers"]
    assert (image["image"], image["command"]) == ("vllm:1", [*workload.SERVER, "--help"])
    assert (holder["image"], holder["command"]) == ("ours:1", ["sleep", "60"])
    assert reader["image"] == "ours:1"
    assert reader["command"] == ["python", "-m", "steps.warm", workload.root(RELEASE, "/models")]


def test_what_reads_may_hold_as_much_as_the_node_has_and_sees_the_volume_as_the_server_will():
    """A memory limit, or a mount of its own kind, would keep from the server what is read."""
    spec, server = pod_of(RELEASE), workload.deployment(RELEASE, AROUND)["spec"]["template"]["spec"]
    assert all("limits" not in c["resources"] for c in spec["containers"])
    assert spec["volumes"][0] == server["volumes"][0]


def test_without_an_image_of_ours_the_releases_own_is_pulled_all_the_same():
    (only,) = pod_of(RELEASE, Where(claim="models", volume="/models"))["containers"]
    assert only["image"] == "vllm:1"


def test_it_is_placed_and_pulled_as_the_servers_will_be():
    said = {
        "nodeSelector": {"kind": "h100"},
        "affinity": {"nodeAffinity": {}},
        "imagePullSecrets": [{"name": "registry"}],
        "tolerations": [{"key": "models"}],
        "runtimeClassName": "nvidia",
        "resources": {"limits": {"example.com/device": "1"}},
    }
    pod = pod_of(a_release(1, pod=json.dumps(said)))
    assert {key: pod[key] for key in ("imagePullSecrets", "tolerations", "nodeSelector")} == {
        key: said[key] for key in ("imagePullSecrets", "tolerations", "nodeSelector")
    }
    assert "runtimeClassName" not in pod
    assert "example.com/device" not in json.dumps(pod)


def test_it_ends_and_goes_by_itself_and_starts_nothing_twice():
    job = preparation.job(RELEASE, AROUND, "node-1", 59.2, "run-1")
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (60, 0)
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_no_service_and_no_deployment_takes_its_pod_for_a_server():
    marks = preparation.job(RELEASE, AROUND, "node-1", 60, "run-1")["spec"]["template"]["metadata"]["labels"]
    assert not labels.pods("chat", RELEASE.release_id).items() <= marks.items()
    assert not labels.servers("chat").items() <= marks.items()
    assert labels.preparations("chat").items() <= marks.items()


def test_it_names_the_run_that_began_it():
    job = preparation.job(RELEASE, AROUND, "node-1", 60, "run-1")
    assert preparation.owner(job) == "run-1"
    assert preparation.owner({"metadata": {}}) is None


def test_its_name_is_one_for_each_node_and_fits():
    longest = "d" * 40
    names = {preparation.name(longest, "a" * 12, node) for node in ("n" * 253, "m")}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


def test_both_there_is_ready_and_tells_how_much_was_read():
    assert seen(SHOWN, READ).ready
    assert seen(SHOWN, READ).waiting == "its image is there; 1.0 GiB of 1.0 GiB are in memory"


@pytest.mark.parametrize("image", [None, waits("ContainerCreating"), waits("ErrImagePull", "not found")])
def test_an_image_that_is_not_there_yet_is_waited_for(image):
    state = seen(image, READ, now=10.0)
    assert (state.ready, state.failure) == (False, None)
    assert state.waiting


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ErrImagePull", "its image vllm:1 cannot be pulled: not found"),
        ("ImagePullBackOff", "its image vllm:1 cannot be pulled: not found"),
        ("InvalidImageName", "vllm:1 is no name of an image: not found"),
    ],
)
def test_an_image_that_will_never_be_there_is_told_in_the_words_of_a_pod_that_waits_for_it(reason, words):
    assert seen(waits(reason, "not found"), READ).failure == words


def test_what_keeps_the_container_and_not_its_image_is_no_verdict_on_the_release():
    state = seen(waits("CreateContainerConfigError", "no such user"), READ)
    assert (state.ready, state.failure) == (True, None)


@pytest.mark.parametrize("image", [SHOWN, {"terminated": {"exitCode": 1}}, waits("RunContainerError")])
def test_an_image_whose_program_says_nothing_without_a_device_is_there_all_the_same(image):
    assert seen(image, READ).ready
    assert preparation.is_pulled({"status": {"containerStatuses": [{"name": "vllm", "state": image}]}})


def test_an_image_that_is_being_read_is_there_and_waited_for():
    assert not seen(RUNS, READ).ready
    assert preparation.is_pulled({"status": {"containerStatuses": [{"name": "vllm", "state": RUNS}]}})


@pytest.mark.parametrize("status", [{}, {"containerStatuses": [{"name": "vllm", "state": waits("ErrImagePull")}]}])
def test_an_image_is_not_there_before_its_node_says_so(status):
    assert not preparation.is_pulled({"status": status})


@pytest.mark.parametrize("reader", [None, RUNS, waits("ContainerCreating")])
def test_files_that_are_being_read_are_waited_for(reader):
    assert not seen(SHOWN, reader).ready


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (waits("ImagePullBackOff"), "could not start: ImagePullBackOff"),
        ({"terminated": {"exitCode": 137}}, "ended with exit code 137"),
    ],
)
def test_files_that_cannot_be_read_ahead_keep_nobody(reader, words):
    state = seen(SHOWN, reader)
    assert state.ready
    assert words in state.waiting


@pytest.mark.parametrize("image", [None, waits("ContainerCreating"), RUNS, SHOWN])
def test_files_that_are_no_longer_there_are_final_however_far_the_image_is(image):
    gone = {"terminated": {"exitCode": 13, "message": "/models/org--tiny/abc has been removed"}}
    assert seen(image, gone).failure == "/models/org--tiny/abc has been removed"


def test_files_that_are_no_longer_there_are_final_also_where_nobody_says_which():
    assert seen(SHOWN, {"terminated": {"exitCode": 13}}).failure == "its files are not what was checked"


@pytest.mark.parametrize("reason", ["NodeAffinity", "OutOfcpu", "Evicted"])
def test_a_node_that_does_not_take_it_is_told_and_keeps_nobody(reason):
    state = seen(None, None, phase="Failed", reason=reason, message="Pod was rejected")
    assert (state.ready, state.failure) == (True, None)
    assert f"{reason} Pod was rejected" in state.waiting


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([], None),
        ([{"type": "Failed", "status": "True", "message": "was active longer than"}], "was active longer than"),
        ([{"type": "Complete", "status": "True"}], "Complete"),
        ([{"type": "Failed", "status": "False"}], None),
    ],
)
def test_a_job_that_is_over_says_why(conditions, why):
    assert preparation.ended({"status": {"conditions": conditions}}) == why
