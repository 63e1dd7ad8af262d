"""install and uninstall as a person meets them: what they print, and their exit codes."""

import io

import pytest
import yaml

from steps.clients.kube.api import (
    CONFIG_MAP,
    CRON_JOB,
    ENDPOINT_SLICE,
    ROLE,
    SERVICE_ACCOUNT,
    WORKFLOW,
    WORKFLOW_TEMPLATE,
)
from steps.core import argo
from steps.errors import Conflict, Refused, Transient
from tests.stubs.installed import configuration
from tests.stubs.installed import install as put_all
from tests.stubs.kube import FakeApi
from workflows import command
from workflows.cluster.objects import objects
from workflows.cluster.session import Consent
from workflows.command import NotSubmitted
from workflows.install import install, upgrade
from workflows.pods import CATALOG
from workflows.uninstall import remove, uninstall

COMMANDS = {"install": install, "uninstall": uninstall}


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """No cluster, nobody at the keyboard, and no settings of the person who runs the tests."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no.kubeconfig"))
    monkeypatch.delenv("VLLM_PROMOTE_CONFIG", raising=False)
    monkeypatch.setenv("VLLM_PROMOTE_CATALOG", str(configuration(tmp_path).catalog_path))
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("y\n")
    )  # what a person would type is no word when it comes from a file


@pytest.fixture
def config(tmp_path):
    return configuration(tmp_path)


@pytest.fixture
def api(config):
    api = FakeApi()
    put_all(api, config)
    return api


def call(capsys, line):
    verb, *argv = line.split()
    code = command.run(verb, COMMANDS[verb], argv)
    return code, "".join(capsys.readouterr())


def up(api, config, *, dry_run=False, yes=False, take_over=False):
    return upgrade(api, config, objects(config), Consent(dry_run=dry_run, yes=yes, take_over=take_over))


def down(api, config, *, dry_run=False, yes=False):
    return remove(api, config, Consent(dry_run=dry_run, yes=yes))


def change(config):
    config.catalog_path.write_text("deployments: {chat: {model: org/other}, code: {model: org/code}}\n")


@pytest.mark.parametrize("line", ["install", "install --dry-run", "uninstall --yes"])
def test_without_a_cluster_the_exit_code_is_3_and_a_sentence_says_what_to_set(capsys, line):
    code, text = call(capsys, line)
    assert (code, "no cluster is known here" in text, "set KUBECONFIG" in text) == (3, True, True)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("install --namespace No", "--namespace is 'No'"),
        ("install --nfs filer", "--nfs is 'filer'"),
        ("install --registry https://r.example", "--registry is 'https://r.example'"),
        ("install --storage-size much", "--storage-size is 'much'"),
        ("install --nfs filer:/a --storage-class fast", "nfs and storage_class both say"),
        ("install --output out --token x", "No such option: --token"),
        ("uninstall --namespace No", "--namespace is 'No'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(capsys, line, sentence):
    code, text = call(capsys, line)
    assert (code, sentence in text) == (2, True), text


def test_a_catalog_that_is_wrong_is_usage(capsys, config):
    config.catalog_path.write_text("deployments: {chat: {}}")
    assert call(capsys, "install")[0] == 2


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_names_the_command_and_its_exit_codes(capsys, verb):
    code, text = call(capsys, f"{verb} --help")
    assert (code, f"python -m workflows.{verb}" in text, "Exit code" in text) == (0, True, True)


def test_files_are_written_without_a_cluster_with_what_to_copy(capsys, tmp_path):
    there = tmp_path / "gitops"
    code, text = call(capsys, f"install --output {there} --namespace prod --registry r.example")
    assert (code, f"wrote {there}/kustomization.yaml" in text) == (0, True)
    assert "skopeo copy --all docker://quay.example/vllm:v1 docker://r.example/vllm:v1" in text
    index = yaml.safe_load((there / "kustomization.yaml").read_text())
    assert index["resources"][0] == "namespace.yaml"


def test_nothing_is_done_when_nobody_can_agree(capsys, api, config):
    change(config)
    with pytest.raises(Refused, match="nothing was changed; where nobody can be asked, add --yes"):
        up(api, config)
    assert "1 to change" in capsys.readouterr().out
    assert "org/other" not in api.get(CONFIG_MAP, CATALOG)["data"]["catalog.yaml"]


def test_a_dry_run_shows_the_difference_changes_nothing_and_succeeds(capsys, api, config):
    change(config)
    assert up(api, config, dry_run=True) == 0
    text = capsys.readouterr().out
    assert "+    deployments: {chat: {model: org/other}, code: {model: org/code}}" in text
    assert "This was a dry run: nothing was changed." in text
    assert "org/other" not in api.get(CONFIG_MAP, CATALOG)["data"]["catalog.yaml"]


def test_agreed_to_it_is_done_and_a_second_time_there_is_nothing_to_do(capsys, api, config):
    change(config)
    assert up(api, config, yes=True) == 0
    assert "org/other" in api.get(CONFIG_MAP, CATALOG)["data"]["catalog.yaml"]
    capsys.readouterr()
    assert up(api, config, dry_run=True) == 0
    assert capsys.readouterr().out.startswith("Nothing to change: ")


def test_what_the_cluster_tells_of_its_ports_is_in_what_is_applied(capsys, api, monkeypatch):
    marks = {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    api.create(ENDPOINT_SLICE, {"metadata": marks, "ports": [{"name": "https", "port": 16443}]})
    api.server = "https://cluster"
    monkeypatch.setattr("workflows.cluster.session.connect", lambda _config: api)
    monkeypatch.setattr("workflows.install._require_argo", lambda _api: None)
    monkeypatch.setattr("workflows.install.replace", lambda api, **_: api)  # one namespace is all that it has
    code, text = call(capsys, "install --dry-run --namespace models")
    assert (code, "1 to change" in text, "port: 16443" in text) == (0, True, True), text
    assert "put that into egress_ports" not in text
    api.forbidden.add(("list", ENDPOINT_SLICE.plural))
    code, text = call(capsys, "install --dry-run --namespace models")
    assert (code, "put that into egress_ports" in text, "16443" in text) == (0, True, False), text


def test_what_somebody_else_manages_is_refused_with_their_name_and_the_flag_that_takes_it(capsys, api, config):
    api.edit(CONFIG_MAP, CATALOG, {"data": {"catalog.yaml": "deployments: {}"}})
    with pytest.raises(Conflict, match=r"kubectl-edit.*; to make what they manage ours, add --take-over"):
        up(api, config, yes=True)
    assert up(api, config, yes=True, take_over=True) == 0


def test_a_cluster_that_stops_answering_while_it_is_asked_was_not_changed(api, config):
    def away(request):
        raise Transient(f"cannot {request}: no answer")

    api.before = away
    with pytest.raises(NotSubmitted, match="could not ask the cluster, so nothing was changed"):
        up(api, config, yes=True)


def test_uninstall_shows_what_goes_and_what_stays(capsys, api, config):
    assert down(api, config, dry_run=True) == 0
    text = capsys.readouterr().out
    assert "  remove  WorkflowTemplate       vllm-promote\n" in text
    assert "nothing was removed" in text
    assert "kubectl delete namespace models   # and all that is in it" in text
    with pytest.raises(Refused):
        down(api, config)
    assert not any(call.startswith("delete") for call in api.calls)


def test_what_begins_while_a_person_thinks_is_not_robbed_of_its_rights(api, config, monkeypatch):
    def agree(_question, _consent):
        api.create(WORKFLOW, argo.workflow("vllm-promote-refresh", {}, name="nightly"))

    monkeypatch.setattr("workflows.cluster.session.require_agreement", agree)
    with pytest.raises(Conflict, match="at work: nightly; wait for the end"):
        down(api, config)
    assert not any(call.startswith("delete") for call in api.calls)


def test_what_begins_while_it_is_being_removed_keeps_its_rights_until_it_is_over(api, config):
    def a_last_one(request):
        if request.startswith("delete cronworkflows/"):
            api.before = lambda _request: None
            api.create(WORKFLOW, argo.workflow("vllm-promote-refresh", {}, name="nightly"))

    api.before = a_last_one
    with pytest.raises(Conflict, match=r"at work: nightly; .*begun just now: nothing new begins.*install"):
        down(api, config, yes=True)
    assert (api.list(CRON_JOB), api.list(WORKFLOW_TEMPLATE)) == ([], [])
    assert api.list(SERVICE_ACCOUNT) != []
    assert api.list(ROLE) != []
    api.delete(WORKFLOW, "nightly")
    assert down(api, config, yes=True) == 0
    assert api.list(ROLE) == []


def test_uninstall_removes_and_a_second_time_finds_nothing(capsys, api, config):
    assert down(api, config, yes=True) == 0
    assert api.list(WORKFLOW_TEMPLATE) == []
    capsys.readouterr()
    assert down(api, config, yes=True) == 0
    assert capsys.readouterr().out.startswith("Nothing is installed.")
