"""What Kubernetes is asked to run for a release."""

import json

import pytest

from steps.core import canonical, compile_cache, deployed, labels, release, workload
from steps.core.workload import Where
from tests.stubs.local import a_release

AROUND = Where(claim="models", volume="/models")


def patched(**pod):
    return a_release(1, pod=json.dumps(pod), image="registry/vllm@sha256:0")


def on_gpus(count, **pod):
    return a_release(1, device="cuda", gpus=count, pod=json.dumps(pod))


def spec(of):
    return workload.deployment(of, AROUND)["spec"]["template"]["spec"]


def container(of):
    (only,) = spec(of)["containers"]
    return only


def environment(of):
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container(of)["env"]}


def test_a_release_has_a_deployment_of_its_own_which_starts_nothing_yet():
    made = workload.deployment(a_release(1), AROUND)
    release_id = a_release(1).release_id

    assert made["metadata"]["name"] == f"chat-{release_id}"
    assert (made["spec"]["replicas"], made["spec"]["strategy"]) == (0, {"type": "Recreate"})
    assert made["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"]
    selected = made["spec"]["selector"]["matchLabels"]
    assert selected == labels.pods("chat", release_id)
    assert selected.items() <= made["metadata"]["labels"].items()


def test_it_tells_its_release_whole_and_its_model_to_people():
    annotations = workload.deployment(a_release(1), AROUND)["metadata"]["annotations"]

    assert release.from_json(json.loads(annotations[labels.RELEASE_DOCUMENT])) == a_release(1)
    assert (annotations[labels.MODEL], annotations[labels.COMMIT]) == ("org/model", a_release(1).commit)


def test_its_pod_is_restricted_and_reaches_nothing_of_the_cluster():
    pod, server = spec(a_release(1)), container(a_release(1))

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert pod["serviceAccountName"] == "vllm-promote-model"


def test_it_reads_the_models_and_writes_where_nothing_is_kept():
    pod, server = spec(a_release(1)), container(a_release(1))
    mounts = {m["name"]: (m["mountPath"], m.get("readOnly", False)) for m in server["volumeMounts"]}

    assert mounts == {"models": ("/models", True), "tmp": ("/tmp", False), "shm": ("/dev/shm", False)}
    assert pod["volumes"] == [
        {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]


def test_what_it_compiles_is_kept_on_the_claim_that_the_catalog_names():
    of = patched(cacheClaim="compiled")
    pod, server = spec(of), container(of)

    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "compiled"}} in pod["volumes"]
    assert {"name": "cache", "mountPath": "/cache"} in server["volumeMounts"]
    kept = {value for value in environment(of).values() if str(value).startswith(f"{compile_cache.directory(of)}/")}
    assert len(kept) == 4
    assert environment(of)["VLLM_CACHE_ROOT"] == f"{compile_cache.directory(of)}/vllm"
    assert workload.cache_claim(of) == "compiled"


def test_the_models_claim_is_still_told_from_the_cache_s():
    assert deployed.claim(workload.deployment(patched(cacheClaim="compiled"), AROUND)) == "models"


def test_what_one_image_compiled_for_one_device_is_found_by_its_next_commit_and_by_nothing_else():
    def place(number=1, **fields):
        return compile_cache.directory(a_release(number, **{"image": "vllm:1", "device": "cuda", **fields}))

    assert place() == place(2, args=("--dtype=half",))
    assert len({place(), place(image="vllm:2"), place(device="cpu")}) == 3
    assert place().startswith("/cache/chat/")


def test_the_server_serves_the_commit_s_directory_and_the_catalog_s_arguments_come_last():
    server = container(a_release(1, served_name="tiny", args=("--dtype", "half", "$(HOME)")))

    assert server["command"] == ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    assert server["args"] == [
        *("--model", f"/models/org--model/{a_release(1).commit}", "--served-model-name", "tiny"),
        *("--host", "0.0.0.0", "--port", "8000", "--load-format", "safetensors", "--shutdown-timeout", "45"),
        *("--dtype", "half", "$$(HOME)"),
    ]


def test_requests_in_flight_have_time_to_end():
    pod, server = spec(a_release(1)), container(a_release(1))

    assert server["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}
    assert pod["terminationGracePeriodSeconds"] == 75


def test_its_node_leaves_a_start_to_the_step_and_a_server_five_minutes_of_silence_afterwards():
    server = container(a_release(1))
    startup, liveness = server["startupProbe"], server["livenessProbe"]

    assert startup["periodSeconds"] * startup["failureThreshold"] == 24 * 3600
    assert liveness["periodSeconds"] * liveness["failureThreshold"] == 300
    assert server["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000}


def test_gpus_are_asked_for_tolerated_and_not_the_catalog_s_to_set():
    on_two, pod = container(on_gpus(2)), spec(on_gpus(2))

    assert on_two["resources"] == {"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "2"}}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert spec(a_release(1))["tolerations"] == []
    assert container(a_release(1))["resources"] == {"limits": {}, "requests": {}}


def test_what_is_requested_is_the_limit_where_nothing_else_is_said():
    resources = {"limits": {"memory": "64Gi", "cpu": "8"}, "requests": {"cpu": "4"}}
    assert workload.requests(on_gpus(1, resources=resources)) == {"memory": "64Gi", "cpu": "4", "nvidia.com/gpu": "1"}


def test_the_catalog_patches_the_pod():
    said = {
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "nodeSelector": {"pool": "gpu"},
        "affinity": {"nodeAffinity": {}},
        "runtimeClassName": "nvidia",
        "priorityClassName": "serving",
        "imagePullSecrets": [{"name": "registry"}],
    }
    pod = spec(on_gpus(1, **said, shmSize="16Gi"))

    assert pod.items() >= {k: v for k, v in said.items() if k != "tolerations"}.items()
    assert [t["key"] for t in pod["tolerations"]] == ["nvidia.com/gpu", "spot"]
    assert pod["volumes"][-1]["emptyDir"]["sizeLimit"] == "16Gi"


def test_a_catalog_that_says_nothing_adds_nothing():
    assert not {"nodeSelector", "affinity", "imagePullSecrets"} & spec(a_release(1)).keys()


def test_the_environment_is_offline_and_knows_its_pod_and_its_key():
    seen = environment(a_release(1, device="cuda", gpus=1))

    assert (seen["HF_HUB_OFFLINE"], seen["VLLM_NO_USAGE_STATS"], seen["HOME"]) == ("1", "1", "/tmp")
    assert seen["VLLM_HOST_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert seen["VLLM_API_KEY"]["secretKeyRef"] == {"name": "vllm-api-key", "key": "VLLM_API_KEY", "optional": True}
    assert "VLLM_TARGET_DEVICE" not in seen


def test_on_the_cpu_it_says_so():
    assert environment(a_release(1)).items() >= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}.items()


@pytest.mark.parametrize(
    ("name", "wins"), [("HOME", True), ("VLLM_CPU_KVCACHE_SPACE", True), ("HF_HUB_OFFLINE", False)]
)
def test_the_catalog_s_environment_wins_over_defaults_and_not_over_what_must_be(name, wins):
    of = patched(env=[{"name": name, "value": "said"}])
    assert (environment(of)[name] == "said") == wins
    assert len(container(of)["env"]) == len(environment(of))


def test_a_change_is_on_the_condition_of_what_was_read_and_stamps_who_made_it():
    found = {"metadata": {"resourceVersion": "42"}, "spec": {"replicas": 1, "paused": False}}
    digest = canonical.digest({"paused": False})[:12]
    stamps = {labels.OWNER: "run-1", labels.RECORD_VERSION: "17", labels.REPLICAS: "2", labels.SPEC: digest}
    assert deployed.change(found, 2, {"a": "b"}, "run-1", "17") == {
        "metadata": {"resourceVersion": "42", "annotations": {"a": "b", **stamps}},
        "spec": {"replicas": 2},
    }


@pytest.mark.parametrize(
    ("replicas", "status", "at_rest"),
    [
        (0, {"observedGeneration": 2}, True),
        (0, {"observedGeneration": 2, "replicas": 1}, False),
        (0, {"observedGeneration": 1}, False),
        (0, {}, False),
        (1, {"observedGeneration": 2}, False),
    ],
)
def test_at_rest_is_what_its_controller_has_seen_and_counts_nothing_of(replicas, status, at_rest):
    found = {"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status}
    assert deployed.is_at_rest(found) == at_rest
