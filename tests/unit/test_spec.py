import pytest

from steps.errors import BadInput
from tests.stubs.manifests import manifest, output, task
from workflows.local import spec
from workflows.local.environment import Sources, compose, direct, of_the_machine

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

    assert found == {"PATH": "/bin", "A": "own", "KEY": "k", "HF_TOKEN": "t"} | direct({})


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

    assert compose(program(env=[token], envFrom=[bundle]), sources()) == {"PATH": "/bin"} | direct({})


def test_a_model_server_s_own_variables_reach_the_step_that_starts_it_and_no_secret_does():
    given = {"VLLM_USE_V2": "1", "NCCL_P2P_DISABLE": "1", "OMP_NUM_THREADS": "2", "CUDA_HOME": "/cuda"}
    kept_out = {"VLLM_API_KEY": "canary", "VLLM_PROMOTE_BUCKET": "b", "TORCH_TOKEN": "canary", "PGPASSWORD": "canary"}

    assert of_the_machine(given | kept_out) == given | direct({})


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intra, 10.0.0.1"}, "intra,10.0.0.1,127.0.0.1,localhost"),
        ({"no_proxy": "a,localhost", "NO_PROXY": "b"}, "a,localhost,b,127.0.0.1"),
        ({"no_proxy": "*"}, "*"),  # alone it means everything, in a list nothing
    ],
)
def test_no_proxy_stands_between_a_step_and_this_machine(environ, told):
    assert direct(environ) == {"no_proxy": told, "NO_PROXY": told}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"env": [{"name": "A", "value": "{{workflow.name}}"}]}, r"workflow\.name.* at .*env\[\]\.value"),
        ({"args": ["--a={{workflow.name}}"]}, r"workflow\.name.* at .*args\[\]"),
        ({"args": ["--a={{inputs.parameters.nobody}}"]}, r"inputs\.parameters\.nobody.* at .*args\[\]"),
        ({"args": ["--a={{inputs.parameters.do}}"]}, r"inputs\.parameters\.do.* at .*args\[\]"),
        ({"args": ["--a={{=1+1}}"]}, r"=1\+1"),
        ({"args": ["--a={{"]}, r"fill in \{\{ at"),
        ({"args": ["--a=$(HF_TOKEN)"]}, r"\$\(HF_TOKEN\).* at .*args\[\], as the kubelet"),
        ({"env": [{"name": "A", "value": "$(B)"}]}, r"\$\(B\).* at .*env\[\]\.value, as the kubelet"),
        ({"command": ["{{inputs.parameters.do}}"]}, r"command\[\]"),
        ({"outputs": output("x", default="{{workflow.uid}}")}, r"outputs\.parameters\[\]\.valueFrom\.default"),
    ],
)
def test_a_reference_that_would_not_be_filled_in_is_refused_with_its_place(fields, path):
    built = manifest({"a": task(**{k: v for k, v in fields.items() if k in ("env", "outputs")})})
    built["spec"]["templates"][1]["container"] |= {k: v for k, v in fields.items() if k in ("args", "command")}

    with pytest.raises(BadInput, match=path):
        spec.parse(built)


def test_the_name_of_a_mutex_may_refer_to_what_the_run_is_given_and_to_nothing_else():
    assert spec.parse(manifest({"a": task()}, mutex="m-{{workflow.parameters.p}}")).mutexes
    with pytest.raises(BadInput, match=r"workflow\.parameters\.x.* at spec\.synchronization\.mutexes"):
        spec.parse(manifest({"a": task()}, mutex="m-{{workflow.parameters.x}}"))


def test_what_means_nothing_here_may_refer_to_anything():
    built = manifest({"a": task()})
    built["spec"]["workflowMetadata"] = {"annotations": {"title": "{{anything}}"}}
    assert spec.parse(built).name == "test"


def test_an_empty_list_or_mapping_says_nothing():
    built = manifest({"a": task(env=[])})
    built["metadata"]["labels"] = {}
    built["spec"] |= {"arguments": {"parameters": []}, "synchronization": {"mutexes": []}, "podGC": {}}
    assert spec.parse(built).parameters == {}

    with pytest.raises(BadInput, match=r"spec\.hooks\."):
        spec.parse(manifest({"a": task()}) | {"spec": {**built["spec"], "hooks": {}}})
