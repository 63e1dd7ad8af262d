"""What an installation consists of."""

from pathlib import Path

import pytest
import yaml

from steps.clients.kube.api import NAMESPACE
from steps.core import labels
from steps.core.labels import PROJECT
from steps.errors import BadInput
from tests.stubs.installed import configuration
from tests.stubs.rendered import manifest
from workflows.cluster import gitops, network, rights
from workflows.cluster.kinds import kind_of
from workflows.cluster.objects import objects, topics
from workflows.cluster.parts import MARKS, MODEL

GOLDENS = Path(__file__).parents[1] / "goldens" / "install"


@pytest.fixture
def everything(tmp_path):
    bundle = tmp_path / "corporate.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    return configuration(
        tmp_path,
        nfs="filer.example:/export/models",
        storage_size="2Ti",
        ca_bundle=bundle,
        https_proxy="http://proxy.example:3128",
        aws_endpoint_url="https://s3.example:9000",
        client_namespaces=("web",),
        image_pull_secrets=("registry",),
        registry="registry.example/ai",
    )


def named(config, kind):
    return {body["metadata"]["name"]: body for body in objects(config) if body["kind"] == kind}


@pytest.mark.parametrize("topic", ["namespace", "accounts", "volume", "settings", "network", "kustomization"])
def test_a_change_of_the_installation_is_a_change_of_its_golden(topic, everything, update_goldens):
    text = gitops.files(topics(everything))[f"{topic}.yaml"]
    golden = GOLDENS / f"{topic}.yaml"
    if update_goldens:
        golden.write_text(text)
    assert text == golden.read_text(), "run pytest with --update-goldens and review the difference"


def test_every_object_is_marked_as_installed_and_lies_in_the_namespace(everything):
    for body in objects(everything):
        assert MARKS.items() <= body["metadata"]["labels"].items()
        assert body["metadata"].get("namespace") == ("models" if kind_of(body).namespaced else None)


def test_the_namespace_comes_first_and_what_starts_work_last(everything):
    kinds = [body["kind"] for body in objects(everything)]
    assert kinds[0] == "Namespace"
    assert kinds.index("ConfigMap") < kinds.index("WorkflowTemplate") < kinds.index("CronWorkflow")


def test_no_secret_is_ever_made(everything):
    assert not any(body["kind"] == "Secret" for body in objects(everything))


def test_no_role_has_a_wildcard_or_reads_secrets_or_runs_commands_in_pods():
    for rules, _ in rights.ROLES.values():
        for rule in rules:
            assert "*" not in (rule.group, *rule.resources, *rule.verbs)
            assert not {"secrets", "pods/exec", "pods/portforward", "serviceaccounts/token"} & {*rule.resources}


def changing(*verbs):
    """Which roles may do any of it, by resource."""
    found: dict[str, set[str]] = {}
    for name, (rules, _) in rights.ROLES.items():
        for rule in rules:
            for resource in rule.resources if {*verbs} & {*rule.verbs} else ():
                found.setdefault(resource, set()).add(name.removeprefix(f"{PROJECT}-"))
    return found


def test_what_serves_is_changed_by_who_serves_and_its_record_by_who_may_allow_a_release_again():
    changed = changing("create", "update", "patch", "delete")
    assert changed["deployments"] == {"operate"}
    assert changed["services"] == {"operate", "allow"}


def test_what_a_run_is_followed_by_is_watched_and_nothing_else():
    assert changing("watch") == {each: {"start"} for each in ("workflows", "pods", "events")}


def test_what_makes_pods_of_any_account_is_a_matter_of_few_roles():
    made = changing("create")
    assert (made["workflows"], made["jobs"]) == ({"start", "refresh"}, {"repair", "prepare"})
    assert not {"pods", "cronjobs"} & made.keys()
    assert "workflows" not in changing("delete")


def test_every_account_but_the_model_servers_holds_a_role_and_people_alone_repair_and_allow(tmp_path):
    config = configuration(tmp_path)
    accounts, bindings = named(config, "ServiceAccount"), named(config, "RoleBinding")
    held = {s["name"] for body in bindings.values() for s in body["subjects"]}
    assert held == accounts.keys() - {MODEL}
    assert named(config, "Role").keys() - bindings.keys() == {f"{PROJECT}-repair", f"{PROJECT}-allow"}
    assert not accounts[MODEL]["automountServiceAccountToken"]


def test_without_rights_outside_of_the_namespace_nothing_lies_there(tmp_path):
    assert all(kind_of(body).namespaced for body in objects(configuration(tmp_path, cluster_scoped=False)))


def test_where_nodes_are_made_on_demand_nobody_is_told_how_few_there_are(tmp_path):
    outside = [body for body in objects(configuration(tmp_path, node_reader=False)) if not kind_of(body).namespaced]
    assert [body["kind"] for body in outside] == ["Namespace"]
    assert named(configuration(tmp_path), "ClusterRole").keys() == {f"{PROJECT}-nodes-models"}


def test_two_installations_share_nothing_outside_of_their_namespaces(tmp_path):
    def outside(namespace):
        made = objects(configuration(tmp_path, namespace=namespace, nfs="filer.example:/models"))
        return {(body["kind"], body["metadata"]["name"]) for body in made if not kind_of(body).namespaced}

    assert not outside("one") & outside("two")


def test_a_share_is_kept_and_belongs_to_our_claim_alone(everything):
    (volume,) = named(everything, "PersistentVolume").values()
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert (volume["spec"]["claimRef"]["namespace"], volume["spec"]["claimRef"]["name"]) == ("models", "models")
    assert named(everything, "PersistentVolumeClaim")["models"]["spec"]["volumeName"] == volume["metadata"]["name"]


def test_a_share_of_a_server_that_is_an_address_of_version_6(tmp_path):
    (volume,) = named(configuration(tmp_path, nfs="[fd00::1]:/models"), "PersistentVolume").values()
    assert volume["spec"]["nfs"] == {"server": "fd00::1", "path": "/models"}


def test_a_claim_of_a_class_and_one_that_is_there_already(tmp_path):
    made = named(configuration(tmp_path, storage_class="fast", claim="weights"), "PersistentVolumeClaim")
    assert made["weights"]["spec"]["storageClassName"] == "fast"
    assert not named(configuration(tmp_path, claim="weights"), "PersistentVolumeClaim")


def test_the_templates_are_those_of_the_goldens_with_the_catalogs_names_to_choose_from(tmp_path):
    made = named(configuration(tmp_path), "WorkflowTemplate")
    asked = {p["name"]: p for p in made[PROJECT]["spec"]["arguments"]["parameters"]}
    assert asked["deployment"]["enum"] == ["chat", "code"]
    assert made[PROJECT]["spec"]["templates"] == manifest(PROJECT)["spec"]["templates"]


def test_a_registry_a_claim_and_schedules_reach_the_pods(tmp_path):
    own = {"registry": "registry.example/ai", "claim": "weights", "reconcile_schedule": "*/5 * * * *"}
    own |= {"audit_schedule": "0 5 * * 0"}
    made = objects(configuration(tmp_path, **own))
    text = yaml.safe_dump_all(made)
    assert "image: vllm-promote/" not in text
    assert "image: registry.example/ai/vllm-promote/cluster:dev" in text
    assert "claimName: weights" in text
    schedules = {body["metadata"]["name"]: body["spec"]["schedule"] for body in made if body["kind"] == "CronJob"}
    assert schedules == {f"{PROJECT}-reconcile": "*/5 * * * *", f"{PROJECT}-audit": "0 5 * * 0"}


def test_an_outside_is_reached_on_its_own_port_and_model_servers_reach_nothing(everything):
    made = named(everything, "NetworkPolicy")
    ports = [p["port"] for p in made[f"{PROJECT}-pipeline"]["spec"]["egress"][1]["ports"]]
    assert ports == [443, 3128, 6443, 9000]
    reach = [body for body in made.values() if "egress" in body["spec"]]
    assert all(body["spec"]["podSelector"] == network.PIPELINE for body in reach)
    assert made[f"{PROJECT}-deny"]["spec"]["podSelector"] == {"matchLabels": {labels.PART_OF: PROJECT}}


def test_policies_are_left_out_on_request_and_clients_come_from_everywhere_unless_named(tmp_path):
    assert not named(configuration(tmp_path, network_policies=False), "NetworkPolicy")
    servers = named(configuration(tmp_path), "NetworkPolicy")[f"{PROJECT}-model-servers"]
    assert servers["spec"]["ingress"][0]["from"] == [{"namespaceSelector": {}}]


def test_the_catalog_goes_in_as_it_is_once_it_is_known_to_be_good(tmp_path):
    config = configuration(tmp_path)
    assert named(config, "ConfigMap")[f"{PROJECT}-catalog"]["data"]["catalog.yaml"] == config.catalog_path.read_text()
    config.catalog_path.write_text("deployments: {chat: {modle: org/x}}")
    with pytest.raises(BadInput, match=r"catalog\.yaml: .*deployments\.chat\.modle: is no key here"):
        objects(config)


def test_a_catalog_or_a_bundle_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.yaml cannot be read .*VLLM_PROMOTE_CATALOG"):
        objects(configuration(tmp_path, catalog=tmp_path / "none.yaml"))
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(BadInput, match=r"key\.pem holds no certificate"):
        objects(configuration(tmp_path, ca_bundle=tmp_path / "key.pem"))


@pytest.mark.parametrize("key", ["aws_endpoint_url", "hf_endpoint", "https_proxy"])
def test_an_address_that_means_this_machine_is_not_given_to_pods(tmp_path, key):
    with pytest.raises(
        BadInput, match=f"{key} is http://localhost:8333, which in a pod is the pod itself; give install"
    ):
        objects(configuration(tmp_path, **{key: "http://localhost:8333"}))


def test_files_are_the_same_each_time_and_one_that_is_not_needed_any_more_goes(tmp_path):
    config, there = configuration(tmp_path), tmp_path / "gitops"
    written = gitops.write(there, topics(config))
    before = {path.name: path.read_bytes() for path in written}
    (there / "README.md").write_text("somebody else's")
    gitops.write(there, topics(config))
    assert {path.name: path.read_bytes() for path in written} == before
    gitops.write(there, topics(config.model_copy(update={"network_policies": False})))
    left = {path.name for path in there.iterdir()}
    assert left == before.keys() - {"network.yaml"} | {"README.md"}
    assert "network.yaml" not in (there / "kustomization.yaml").read_text()


def test_the_files_hold_what_would_be_applied(tmp_path):
    config = configuration(tmp_path)
    files = gitops.files(topics(config))
    index = yaml.safe_load(files["kustomization.yaml"])
    read = [body for name in index["resources"] for body in yaml.safe_load_all(files[name])]
    assert tuple(read) == objects(config)
    assert read[0]["kind"] == NAMESPACE.name
