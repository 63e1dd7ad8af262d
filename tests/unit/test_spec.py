import pytest

from steps.errors import BadInput
from tests.stubs.manifests import manifest, output, task
from workflows.local import spec
from workflows.local.environment import Sources, compose

TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "HF_TOKEN"}}}


def sources(**secrets: dict[str, str]) -> Sources:
    return Sources(config_maps={"settings": {"A": "settings"}}, secrets=secrets, environ={"PATH": "/bin", "B": "b"})


def program(**fields: object) -> spec.Program:
    return spec.parse(manifest({"a": task(**fields)})).main.tasks["a"].program  # type: ignore[arg-type]  # any field


def test_a_program_knows_where_its_outputs_are():
    assert program(outputs=output("x", default="d")).outputs == (spec.Output(name="x", file="x", default="d"),)


def test_parameters_with_and_without_a_value_are_told_apart():
    assert spec.parse(manifest({"a": task()})).parameters == {"p": None, "q": "q"}


@pytest.mark.parametrize("missing", ["entrypoint", "onExit"])
def test_an_entrypoint_or_exit_handler_that_is_no_dag_is_refused(missing):
    built = manifest({"a": task()})
    built["spec"][missing] = "a"

    with pytest.raises(BadInput, match="no DAG a"):
        spec.parse(built)


def test_a_task_that_calls_what_is_no_container_is_refused():
    built = manifest({"a": task()})
    built["spec"]["templates"][0]["dag"]["tasks"][0]["template"] = "main"

    with pytest.raises(BadInput, match="task a calls main"):
        spec.parse(built)


def test_an_argument_that_nobody_takes_is_refused():
    with pytest.raises(BadInput, match="gives modle"):
        spec.parse(manifest({"a": task(arguments={"modle": "x"})}))


def test_a_name_in_both_dags_is_refused():
    built = manifest({"a": task()}, on_exit={"b": task()})
    built["spec"]["templates"][1]["dag"]["tasks"][0]["name"] = "a"

    with pytest.raises(BadInput, match="exit handler"):
        spec.parse(built)


def test_what_is_no_manifest_at_all_is_refused_in_a_sentence():
    with pytest.raises(BadInput, match="not a WorkflowTemplate"):
        spec.parse({"kind": "WorkflowTemplate"})


def test_settings_secrets_and_little_of_the_users_environment_reach_a_program():
    bundles = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "s3"}}]

    found = compose(
        program(envFrom=bundles, env=[TOKEN, {"name": "A", "value": "own"}]),
        sources(s3={"KEY": "k"}, hub={"HF_TOKEN": "t", "OTHER": "o"}),
    )

    assert found == {"PATH": "/bin", "A": "own", "KEY": "k", "HF_TOKEN": "t"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"envFrom": [{"secretRef": {"name": "s3"}}]}, "Secret s3"),
        ({"envFrom": [{"configMapRef": {"name": "other"}}]}, "ConfigMap other"),
        ({"env": [TOKEN]}, "key HF_TOKEN of Secret hub"),
    ],
)
def test_what_a_program_needs_and_nobody_has_is_named(fields, named):
    with pytest.raises(BadInput, match=named):
        compose(program(**fields), sources())


def test_what_is_optional_may_be_missing():
    token = {**TOKEN, "valueFrom": {"secretKeyRef": {"name": "hub", "key": "HF_TOKEN", "optional": True}}}
    bundle = {"secretRef": {"name": "s3", "optional": True}}

    assert compose(program(env=[token], envFrom=[bundle]), sources()) == {"PATH": "/bin"}
