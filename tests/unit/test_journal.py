import pytest

from steps.clients import journal
from steps.clients.local.journal import LocalJournal
from steps.errors import Missing
from steps.settings import from_environment


def test_on_one_machine_the_engine_keeps_the_runs(tmp_path):
    local = from_environment({"VLLM_PROMOTE_SERVING": f"local://{tmp_path}"})

    assert journal.connect(local) == LocalJournal(tmp_path)


def test_elsewhere_a_cluster_keeps_them_and_where_none_is_known_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(Missing, match="set KUBECONFIG"):
        journal.connect(from_environment({}))
