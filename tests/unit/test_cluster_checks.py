"""What is known before a run is submitted, and what install leaves to people."""

import base64

import pytest

from steps.clients.kube.api import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    SECRET,
    VOLUME,
    WORKFLOW_TEMPLATE,
    Json,
    Kind,
)
from steps.errors import Conflict, Missing
from tests.stubs.installed import configuration, install
from tests.stubs.kube import FakeApi
from workflows.cluster import argo, checks, secrets, todo
from workflows.cluster.checks import before_submitting
from workflows.cluster.given import parsed_catalog
from workflows.pods import SETTINGS


@pytest.fixture
def config(tmp_path):
    return configuration(tmp_path, nfs="filer.example:/models", aws_endpoint_url="http://minio.example:9000")


@pytest.fixture
def api(config):
    api = FakeApi()
    install(api, config)
    api.tell(CLAIM, "models", {"phase": "Bound"})
    keep(api, "s3-credentials", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return api


def keep(api, name, *keys):
    data = {key: base64.b64encode(b"canary").decode() for key in keys}
    api.create(SECRET, {**SECRET.header, "metadata": {"name": name}, "data": data})


def run_controller(api, image):
    containers = [{"name": "c", "image": image}]
    body = {"metadata": {"name": "wc", "labels": {"app": "workflow-controller"}}}
    api.create(DEPLOYMENT, {**DEPLOYMENT.header, **body, "spec": {"template": {"spec": {"containers": containers}}}})


def test_an_installation_that_is_whole_passes(api, config):
    before_submitting(api, config)


def test_a_cluster_without_argo_is_told_with_what_installs_it(api, config):
    api.undefined.add(WORKFLOW_TEMPLATE.plural)
    with pytest.raises(Missing, match=r"no Argo Workflows: .* install version 4.1 or newer: kubectl .*--server-side"):
        before_submitting(api, config)


OLD = (
    "argoproj/workflow-controller:v3.5.8",
    "r:5000/workflow-controller:3.6.0@sha256:0",
    "r/workflow-controller:v4.0.9",
)


@pytest.mark.parametrize("image", OLD)
def test_an_argo_that_is_too_old_is_told_by_its_controllers_image(api, config, image):
    run_controller(api, image)
    with pytest.raises(
        Missing, match=r"of version (3\.\d|4\.0), its controller runs .* need 4\.1 or newer: upgrade it"
    ):
        before_submitting(api, config)


@pytest.mark.parametrize("image", ["argoproj/workflow-controller:v4.1.2", "argoproj/workflow-controller:latest"])
def test_a_good_argo_and_one_of_an_unknown_version_pass(api, config, image):
    run_controller(api, image)
    before_submitting(api, config)


@pytest.mark.parametrize("name", checks.PARAMETERS)
def test_a_run_is_checked_against_the_template_that_it_refers_to(api, config, name):
    built = api.get(WORKFLOW_TEMPLATE, name)
    assert checks.PARAMETERS[name] == {p["name"] for p in built["spec"]["arguments"]["parameters"]}
    before_submitting(api, config, name)
    api.delete(WORKFLOW_TEMPLATE, name)
    with pytest.raises(Missing, match=f"no WorkflowTemplate {name}; run"):
        before_submitting(api, config, name)


def test_what_one_has_no_right_to_see_is_left_to_the_steps(api, config):
    api.forbidden |= {("list", "deployments"), ("get", "configmaps"), ("get", "persistentvolumeclaims")}
    api.forbidden |= {("get", "secrets")}
    before_submitting(api, config)


def test_a_namespace_without_the_template_is_told_with_both_remedies(config):
    with pytest.raises(Missing, match=r"no WorkflowTemplate vllm-promote; run .*install, or name the namespace"):
        before_submitting(FakeApi(), config)


def test_a_template_that_takes_other_parameters_is_another_versions(api, config):
    api.edit(WORKFLOW_TEMPLATE, "vllm-promote", {"spec": {"arguments": {"parameters": [{"name": "model"}]}}})
    with pytest.raises(Conflict, match="takes model and is another version's"):
        before_submitting(api, config)


def test_settings_that_are_gone_are_told(api, config):
    api.delete(CONFIG_MAP, SETTINGS)
    with pytest.raises(Missing, match=r"no ConfigMap vllm-promote; run .*install"):
        before_submitting(api, config)


def test_a_claim_that_waits_is_told(api, config):
    api.tell(CLAIM, "models", {"phase": "Pending"})
    api.tell(VOLUME, "models-models", {"phase": "Released"})
    with pytest.raises(Missing, match="claim models in namespace models is Pending"):
        before_submitting(api, config)


def test_a_forgotten_secret_is_told_with_what_makes_it_and_without_a_value(api, config):
    api.delete(SECRET, "s3-credentials")
    with pytest.raises(Missing, match=r"Secret s3-credentials is not there .*--from-env-file=FILE, where FILE holds"):
        before_submitting(api, config)
    keep(api, "s3-credentials", "AWS_ACCESS_KEY_ID")
    with pytest.raises(Missing, match="lacks AWS_SECRET_ACCESS_KEY") as caught:
        before_submitting(api, config)
    assert "canary" not in str(caught.value)


def test_where_a_cloud_may_give_an_identity_no_secret_is_demanded(api, config):
    api.delete(SECRET, "s3-credentials")
    api.edit(CONFIG_MAP, SETTINGS, {"data": {"AWS_ENDPOINT_URL": None}})
    before_submitting(api, config)


def test_this_machines_settings_count_where_the_clusters_are_not_ours_to_see(api, config):
    api.delete(SECRET, "s3-credentials")
    api.forbidden.add(("get", "configmaps"))
    with pytest.raises(Missing, match="Secret s3-credentials is not there"):
        before_submitting(api, config)
    before_submitting(api, config.model_copy(update={"aws_endpoint_url": None}))


class Described:
    """Implements ``Schemas``: knows these fields of ``synchronization``."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields

    def schema(self, kind: Kind) -> Json:
        assert kind is WORKFLOW_TEMPLATE
        known: Json = {"properties": {name: {} for name in self.fields}} if self.fields else {}
        return {"properties": {"spec": {"properties": {"synchronization": known}}}}


def test_the_shape_of_its_objects_tells_an_argo_whose_controller_is_out_of_sight():
    assert argo.require_definitions(Described("mutexes", "semaphores"))
    assert not argo.require_definitions(Described())
    for fields in (("mutex", "mutexes"), ("mutex",)):
        with pytest.raises(Missing, match="of version 3, as its definition of a WorkflowTemplate shows"):
            argo.require_definitions(Described(*fields))


def left(api, config):
    return todo.todo(api, config, parsed_catalog(config))


def test_what_is_left_to_people_is_listed_with_what_to_type(api, config):
    keep(api, "hf-token", "HF_TOKEN")
    keep(api, "vllm-api-key", "VLLM_API_KEY")
    assert left(api, config) == ""
    api.delete(SECRET, "hf-token")
    assert left(api, config) == (
        "  - Secret hf-token is not there: needed for models that are not open to all\n"
        "      kubectl -n models create secret generic hf-token --from-env-file=FILE\n"
        "      FILE holds HF_TOKEN=..., a line each"
    )


def test_a_registrys_login_is_made_from_a_file_too(api, config):
    told = left(api, config.model_copy(update={"image_pull_secrets": ("registry",)}))
    assert (
        "create secret generic registry --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=FILE"
        in told
    )


def test_each_image_is_listed_with_what_brings_it_to_the_registry(api, config, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    told = left(api, config.model_copy(update={"registry": "registry.example/ai"}))
    assert "docker tag vllm-promote/cluster:dev registry.example/ai/vllm-promote/cluster:dev && docker push" in told
    assert "skopeo copy --all docker://quay.example/vllm:v1 docker://registry.example/ai/vllm:v1" in told
    assert "docker://vllm/vllm-openai:v0.32.0 docker://registry.example/ai/vllm/vllm-openai:v0.32.0" in told


@pytest.mark.parametrize("there", [["docker", "podman"], ["podman", "buildah"], ["buildah"]])
def test_images_are_pushed_with_what_has_built_them(tmp_path, monkeypatch, there, api, config):
    for name in there:
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = left(api, config.model_copy(update={"registry": "r.example"}))
    target = "r.example/vllm-promote/cluster:dev"
    assert f"{there[0]} tag vllm-promote/cluster:dev {target} && {there[0]} push {target}" in told


def test_our_own_image_is_pushed_from_where_it_was_built_under_whatever_tag(api, config, monkeypatch):
    """``docker.io/vllm-promote`` is not ours."""
    monkeypatch.setenv("PATH", "/nowhere")
    own = {"transfer_image": "vllm-promote/transfer:v2", "cluster_image": "quay.example/us/vllm-promote/cluster:v2"}
    told = left(api, config.model_copy(update={"registry": "registry.example:5000/ai", **own}))
    target = "registry.example:5000/ai/vllm-promote/transfer:v2"
    assert f"docker tag vllm-promote/transfer:v2 {target} && docker push {target}" in told
    assert "skopeo copy --all docker://quay.example/us/vllm-promote/cluster:v2 docker://registry.example:5000" in told


def test_an_image_with_tag_and_digest_is_copied_by_digest_to_its_tag(tmp_path, api, config):
    digest = "sha256:" + "0" * 64
    config.catalog_path.write_text(f"deployments: {{chat: {{model: org/chat, image: 'vllm/vllm:v1@{digest}'}}}}")
    told = left(api, config.model_copy(update={"registry": "r.example"}))
    assert f"docker://vllm/vllm@{digest} docker://r.example/vllm/vllm:v1" in told


def test_a_volume_that_would_go_with_its_claim_is_told(api, config):
    api.edit(VOLUME, "models-models", {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    assert "volume models-models goes when its claim goes" in left(api, config)


def test_a_secret_that_one_may_not_look_at_is_taken_to_be_there(api):
    api.forbidden.add(("get", "secrets"))
    assert tuple(secrets.lacking(api, secrets.wanted(()))) == ()
