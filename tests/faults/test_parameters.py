"""Rows 1, 2, 5 and 7: what people and publishers may write, and what it must never become."""

import re
import shlex
import subprocess
import sys
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.clients import place
from steps.core.names import check_deployment, check_model, check_revision, path_problem, slug
from steps.errors import BadInput, Refused
from steps.settings import PREFIX
from tests.stubs.hub import LocalHub
from tests.stubs.released import weights
from tests.stubs.rendered import manifest
from tests.stubs.s3 import S3
from workflows import argument
from workflows.local import substitute

ROOT = Path(__file__).parents[2]
NASTY = st.text(alphabet="aA1._-/{}$`'\"\\;&|<> \n\0=\u00e9", max_size=20)
CHECKS = {"model": check_model, "revision": check_revision, "deployment": check_deployment}


@given(st.sampled_from(sorted(CHECKS)), st.one_of(NASTY, st.text(max_size=50)))
def test_whatever_is_accepted_means_nothing_to_a_shell_a_path_python_or_argo(kind: str, text: str):
    try:
        CHECKS[kind](text)
    except BadInput:
        return
    assert shlex.split(text) == [text] == [shlex.quote(text)]
    assert ".." not in PurePath(text).parts
    assert not text.startswith(("/", "-"))
    assert not re.search(r"[{}'\"\\\s]", text)
    assert text.isascii()
    if kind == "model":
        assert PurePath(slug(text)).name == slug(text)


def run_as_argo_does(
    directory: Path, environ: dict[str, str], **given_by_a_user: str
) -> "subprocess.CompletedProcess[str]":
    """The compiled container of ``resolve``, with the values filled in where the manifest refers to them."""
    templates = {t["name"]: t for t in manifest("vllm-promote")["spec"]["templates"]}
    container = templates["resolve"]["container"]
    values = {"model": "org/stub", "revision": "main", "deployment": "chat", **given_by_a_user}
    scope = {argument.expression(name): value for name, value in values.items()}
    argv = [sys.executable, *container["command"][1:], *(substitute.fill(arg, scope) for arg in container["args"])]
    told = {
        "PATH": "/usr/bin:/bin",
        PREFIX + "OUTPUT_DIR": str(directory / "outputs"),
        PREFIX + "TERMINATION_LOG": str(directory / "message"),
        PREFIX + "SERVING": f"local://{directory}",
        PREFIX + "CATALOG": str(directory / "none.yaml"),
        "HF_ENDPOINT": "http://127.0.0.1:1",
        **environ,
    }
    return subprocess.run(argv, cwd=ROOT, env=told, capture_output=True, text=True, check=False, timeout=60)


ATTACKS = {
    "python": "x''' if __import__('os').system('touch {0}')==0 else r'''",
    "a shell": "a/b; touch {0}",
    "a command in a word": "$(touch {0})",
    "backticks": "`touch {0}`",
    "a new line": "a/b\ntouch {0}",
}


@pytest.mark.parametrize("name", ["model", "revision"])
@pytest.mark.parametrize("attack", ["python", *(pytest.param(a, marks=pytest.mark.exhaustive) for a in [*ATTACKS][1:])])
def test_code_in_a_parameter_is_exit_10_and_is_not_run(tmp_path: Path, attack: str, name: str):
    evidence = tmp_path / "evidence"
    ended = run_as_argo_does(tmp_path, {}, **{name: ATTACKS[attack].format(evidence)})

    assert ended.returncode == 10, ended.stderr
    assert (tmp_path / "message").read_text().startswith(f"BadInput: {name} ")
    assert not evidence.exists()
    assert not (tmp_path / "outputs").exists()


@pytest.mark.exhaustive
def test_a_revision_is_text_whatever_it_looks_like(hub: LocalHub, s3: S3, tmp_path: Path):
    commits = {}
    for seed, branch in enumerate(("2025", "1e5", "null", "true")):
        commits[branch] = hub.publish("org/stub", weights(seed=seed), branch)
    for branch, commit in commits.items():
        ended = run_as_argo_does(tmp_path, {**hub.environ(), **s3.environ()}, revision=branch)
        assert ended.returncode == 0, ended.stderr
        assert (tmp_path / "outputs" / "commit").read_text() == commit
    gone = run_as_argo_does(tmp_path, {**hub.environ(), **s3.environ()}, revision="false")
    assert gone.returncode == 12
    assert "has no branch, tag or commit false" in gone.stderr


FILE_NAMES = st.one_of(st.text(max_size=40), st.text(alphabet="a./\\ \u00e9\n\0C:", max_size=12))


@given(name=FILE_NAMES)
def test_a_file_name_that_passes_is_a_file_below_its_directory_on_a_real_disk(tmp_path_factory, name: str):
    top = tmp_path_factory.mktemp("volume") / "model"
    top.mkdir()
    if path_problem(name):
        with pytest.raises(Refused):
            place.below(top, name)
        return
    path = place.below(top, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert path.resolve().is_relative_to(top.resolve())
    assert place.entries(top) == {name: 1}
    assert [p.name for p in top.parent.iterdir()] == ["model"]
