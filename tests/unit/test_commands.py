"""The commands as far as they get without asking anyone: usage, sentences, exit codes."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from steps.errors import BadInput, Conflict, Transient
from workflows import command
from workflows.allow import allow
from workflows.audit import audit
from workflows.checkout import CHECKOUT
from workflows.command import NotSubmitted, Usage, submitting, usage
from workflows.history import history
from workflows.promote import promote
from workflows.rollback import rollback
from workflows.status import status
from workflows.stop import stop
from workflows.watch import watch

VERBS: dict[str, Callable[..., int]] = {
    "promote": promote,
    "status": status,
    "history": history,
    "allow": allow,
    "audit": audit,
    "rollback": rollback,
    "stop": stop,
    "watch": watch,
}
CATALOG = """
deployments:
  chat: {model: org/chat, revision: v2}
  twin-a: {model: org/twin}
  twin-b: {model: org/twin}
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Where nothing is: each of these commands must end before it would look."""
    monkeypatch.setenv("VLLM_PROMOTE_LOCAL_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no.kubeconfig"))
    monkeypatch.delenv("ARGO_SERVER", raising=False)
    monkeypatch.delenv("VLLM_PROMOTE_CONFIG", raising=False)
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    monkeypatch.setenv("VLLM_PROMOTE_CATALOG", str(catalog))
    yield catalog
    assert not (tmp_path / "home").exists()


def call(capsys, line):
    verb, *argv = line.split(" ")
    code = command.run(verb, VERBS[verb], [word.replace("_", " ") for word in argv])
    return code, "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("promote --local", "say which model with --model ORG/NAME"),
        ("promote --local --model org/na_me", "model 'org/na me' cannot be used"),
        ("promote --local --model ../../etc", "model '../../etc' cannot be used"),
        ("promote --local --model {{workflow.name}}/x", "cannot be used"),
        ("promote --local --model org/x --revision a..b", "revision 'a..b' cannot be used"),
        ("promote --local --model org/x --revision {{=1+1}}", "revision '{{=1+1}}' cannot be used"),
        ("promote --local --model org/x --revision ", "revision '' cannot be used"),
        ("promote --local --model org/x --deployment Chat", "deployment 'Chat' cannot be used"),
        ("promote --local --model org/x --deployment chat", "deployment chat is for org/chat in the catalog"),
        ("promote --local --model org/twin", "twin-a and twin-b; say which with --deployment"),
        ("promote --local --modle org/x", "No such option: --modle"),
        ("promote --local --model org/x -o json", "'json' is not one of 'yaml'"),
        ("promote --local --retry run-1 --model org/x", "--retry run-1 goes on with what that run was asked for"),
        ("promote --local --retry run-1 --no-wait", "--retry run-1 goes on with what that run was asked for"),
        ("promote --local --model org/x --dry-run -o yaml", "ask for one of them"),
        ("promote --local --model org/x --timeout 0", "'--timeout'"),
        ("promote --local --retry No/Run", "run 'No/Run' cannot be used"),
        ("promote --local --retry run-1", "there is no run run-1 below"),
        ("promote --local surplus", "unexpected extra argument"),
        ("status --local --deployment -x", "deployment '-x' cannot be used"),
        ("status --local -o yaml", "'yaml' is not one of 'text', 'json'"),
        ("history --local --limit 0", "'--limit'"),
        ("allow --local --deployment chat", "Missing option '--release'"),
        ("allow --local --deployment chat --release R", "release 'R' cannot be used"),
        ("audit --local --deployment chat --all", "--deployment NAME is a part of --all"),
        ("audit --local --deployment Chat", "deployment 'Chat' cannot be used"),
        ("audit --local --deployment chat", "nothing was ever promoted to chat"),
        ("rollback --local", "Missing option '--deployment'"),
        ("watch --local", "Missing argument 'RUN'"),
        ("watch --local run-1", "there is no run run-1 below"),
        ("watch --local run-1 --timeout 5", "--timeout stops a run in the cluster"),
        ("stop --local --run run-1", "run run-1 is not at work on this machine"),
        ("stop --local --run run-1 --now", "--now ends a run in the cluster"),
        ("stop --now", "--now ends a run in the cluster"),
        ("stop --run run-1 --force", "--force is for all of this machine"),
        ("rollback --local --deployment chat --to latest", "release 'latest' cannot be used"),
    ],
)
def test_wrong_usage_exits_2_with_a_sentence_and_changes_nothing(capsys, line, sentence):
    code, text = call(capsys, line)
    assert (code, sentence in text) == (2, True), text


def test_an_audit_of_what_nothing_was_promoted_to_has_nothing_to_look_at(capsys):
    code, text = call(capsys, "audit --local")
    assert code == 0
    assert "workflows.audit --all --local` looks at all that is stored or published" in text


def test_an_error_in_the_catalog_is_wrong_usage_and_names_its_place(capsys, machine):
    machine.write_text("deployments: {chat: {model: org/chat, replcas: 2}}")
    code, text = call(capsys, "promote --local --model org/chat")
    assert code == 2
    assert f"{machine}: deployments.chat.replcas" in text


def test_a_catalog_that_was_named_and_is_not_there_is_wrong_usage(capsys, machine):
    machine.unlink()
    code, text = call(capsys, "promote --local --model org/chat")
    assert (code, "mend VLLM_PROMOTE_CATALOG" in text) == (2, True)


def test_a_setting_that_cannot_be_is_wrong_usage(capsys, monkeypatch):
    monkeypatch.setenv("VLLM_PROMOTE_BUCKET", "No")
    code, text = call(capsys, "status --local")
    assert (code, "VLLM_PROMOTE_BUCKET is 'No'" in text) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        "promote --model org/chat",
        "promote --model org/chat --dry-run",
        "promote --retry run-1",
        "audit --repair",
        "watch run-1",
        "stop --run run-1",
        "rollback --deployment chat",
        "status",
        "history",
        f"allow --deployment chat --release {'a' * 12}",
    ],
)
def test_without_a_cluster_a_command_exits_3_and_says_how_to_stay_here(capsys, line):
    code, text = call(capsys, line)
    assert (code, "add --local" in text) == (3, True)


def test_the_manifests_are_printed_without_anything_running(capsys):
    code, text = call(capsys, "promote --model org/chat -o yaml")
    template, run = yaml.safe_load_all(text)
    assert code == 0
    assert (template["kind"], template["metadata"]["name"]) == ("WorkflowTemplate", "vllm-promote")
    given = {p["name"]: p["value"] for p in run["spec"]["arguments"]["parameters"]}
    assert given == {"model": "org/chat", "revision": "v2", "deployment": "chat"}
    assert run["spec"]["workflowTemplateRef"] == {"name": "vllm-promote"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_needs_nothing_and_names_each_option(capsys, verb):
    code, text = call(capsys, f"{verb} --help")
    assert (code, f"python -m workflows.{verb}" in text, "--local" in text) == (0, True, True)


def test_the_help_of_promote_answers_within_a_second():
    """Of work, by which no other process's share counts."""
    began = _work_of_children()
    subprocess.run([sys.executable, "-m", "workflows.promote", "--help"], cwd=CHECKOUT, check=True, capture_output=True)
    assert _work_of_children() - began < 1.0


def _work_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_verbs_are_listed_with_what_they_do():
    done = subprocess.run([sys.executable, "-m", "workflows"], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout
    assert "promote   Bring a model into service\n" in done.stdout


def raising(error):
    def verb() -> int:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Usage("no"), 2),
        (NotSubmitted("no"), 3),
        (Conflict("no"), 1),
        (OSError(28, "full"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_failure_has_its_exit_code(capsys, error, code):
    assert command.run("x", raising(error), []) == code


def test_a_failure_is_one_line_without_secrets(capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    assert command.run("x", raising(Transient("the Hub said\nno to hf_canary")), []) == 1
    assert capsys.readouterr().err == "Error: the Hub said no to [secret]\n"


def test_what_fails_while_a_run_is_submitted_did_not_begin():
    with pytest.raises(NotSubmitted, match="could not submit: SeaweedFS does not answer"), submitting():
        raise Transient("SeaweedFS does not answer")
    with pytest.raises(Usage), usage():
        raise BadInput("no")


def test_what_the_system_refuses_is_a_sentence_that_names_the_file(capsys):
    assert command.run("x", raising(PermissionError(13, "Permission denied", "/proc/volume")), []) == 1
    assert capsys.readouterr().err == "Error: Permission denied: /proc/volume\n"


def test_a_directory_in_which_nothing_can_be_made_keeps_a_run_from_being_begun():
    with pytest.raises(NotSubmitted, match=r"could not submit: .*: /proc/vllm-promote"), submitting():
        Path("/proc/vllm-promote").mkdir()


def test_a_closed_standard_stream_is_never_taken_for_another_file():
    code = "import os; from workflows import command; raise SystemExit(command.run('x', lambda: os.open('/', 0)))"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        argv = ["sh", "-c", f'exec "$0" -c "{code}" {closed}', sys.executable]
        assert subprocess.run(argv, cwd=CHECKOUT, check=False).returncode == 3, closed


def test_a_reader_that_has_left_is_no_failure():
    argv = ["sh", "-c", '"$0" -m workflows; echo $? >&2', sys.executable]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == "0\n"
