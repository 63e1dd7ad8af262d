"""The cluster of the tests, as far as it shows without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.errors import BadInput, Missing, Transient
from tests.cluster.kubernetes import base, cgroups, command, components, configuration, packages, programs, shell
from tests.cluster.kubernetes.certificates import HOLDERS
from tests.cluster.kubernetes.layout import CLIENTS, Layout
from tests.cluster.kubernetes.wait import until
from tests.nfs import machine
from tests.nfs.machine import Machine

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "state")


def every(layout):
    return (*components.first(layout, Path("/programs")), *components.second(layout, Path("/programs")))


def test_what_is_missing_is_named_by_its_packages():
    assert packages.missing(packages.PACKAGES, lambda program: program not in {"ip", "runc"}) == ("iproute2", "runc")
    assert packages.missing(packages.PACKAGES, lambda _: True) == ()
    assert "containernetworking-plugins" in packages.missing(packages.PACKAGES, lambda _: False)


def test_a_package_that_does_not_bring_its_program_is_a_failure(monkeypatch):
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(packages, "_install", installed.append)
    with pytest.raises(Missing, match="their programs are not there: the-package"):
        packages.provide({"no-such-program": "the-package", "sh": "dash"})
    assert installed == [("the-package",)]


def test_a_machine_that_ends_before_its_tests_do_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "KERNEL", "echo")
    lines: list[str] = []
    with pytest.raises(Transient, match=r"NFS 4\.2 did not get to the end of its tests"):
        Machine("4.2", tmp_path / "made").run((), lines.append)
    assert len(lines) == 1


def test_a_machine_gets_pytests_words_as_they_were_typed(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "KERNEL", "false")
    with pytest.raises(Transient):
        Machine("3", tmp_path / "made").run(("-k", "a or b"), lambda _line: None)
    assert (tmp_path / "made" / "init").read_text().endswith(f"3 {tmp_path}/made -k 'a or b'\n")


def test_the_base_is_of_the_debian_that_it_is_made_on():
    assert base.codename(DEBIAN) == "bookworm"
    with pytest.raises(Missing, match="run them on Debian 12 or newer"):
        base.codename("ID=fedora\n")


def test_the_mirror_is_the_one_that_apt_asks():
    indexes = "bookworm-updates http://mirror/updates\nbookworm http://mirror/debian\nbookworm http://later/debian\n"
    assert base.mirror(indexes, "bookworm") == "http://mirror/debian"
    with pytest.raises(Missing, match="apt knows no mirror of trixie; name one in"):
        base.mirror(indexes, "trixie")


def test_a_program_that_fails_says_so_in_its_own_words(tmp_path):
    assert shell.run("cat", stdin="word", cwd=tmp_path) == "word"
    with pytest.raises(Transient, match="`sh -c echo why >&2; exit 3` ended with 3: why"):
        shell.run("sh", "-c", "echo why >&2; exit 3")
    assert shell.tried("false") == ""


def test_a_program_that_is_not_there_is_told_with_the_remedy():
    with pytest.raises(Missing, match=r"no-such-program is not installed; run: python -m tests\.cluster"):
        shell.run("no-such-program")


def test_waiting_ends_when_it_holds_whatever_went_wrong_before():
    answers: Iterator[Exception | bool] = iter([OSError("refused"), Transient("later"), False, True])

    def holds() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    until("it answers", holds)
    assert next(answers, None) is None


def test_waiting_in_vain_ends_with_what_was_last_in_the_way():
    def refused() -> bool:
        raise OSError("connection refused")

    with pytest.raises(Transient, match="after 0 s it does not hold that it answers: connection refused"):
        until("it answers", refused, seconds=0)


def test_waiting_ends_at_once_when_there_is_nothing_left_to_wait_for():
    def ended() -> None:
        raise Transient("etcd has ended")

    with pytest.raises(Transient, match="etcd has ended"):
        until("it answers", lambda: False, meanwhile=ended)


def test_two_states_have_two_networks():
    one, other = Layout(Path("/a/state")), Layout(Path("/b/state"))
    assert one.name != other.name
    assert one.name == Layout(Path("/a/state")).name


def test_all_that_a_cluster_writes_lies_below_its_state(layout):
    for path in configuration.files(layout):
        assert path.is_relative_to(layout.state)
    kubelet = json.loads(configuration.files(layout)[layout.etc / "kubelet.json"])
    assert kubelet["cgroupRoot"] == f"/{layout.name}"
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}


def test_a_file_that_says_so_already_is_left_alone(layout):
    file = layout.etc / "deep" / "proxy.json"
    configuration.write({file: "same"})
    before = file.stat().st_mtime_ns
    configuration.write({file: "same"})
    assert file.stat().st_mtime_ns == before
    configuration.write({file: "other"})
    assert file.read_text() == "other"


def test_rights_and_pod_security_are_on(layout):
    (api_server,) = [component for component in every(layout) if component.name == "kube-apiserver"]
    assert {
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,PodSecurity",
        "--anonymous-auth=false",
    } <= set(api_server.argv)


def test_no_component_listens_where_the_machine_could_hear_it(layout):
    assert {component.listens[0] for component in every(layout) if component.listens} == {"127.0.0.1", "10.244.0.1"}
    assert len({component.name for component in every(layout)}) == 8
    assert len({component.listens for component in every(layout)}) == 8


def test_everybody_with_a_kubeconfig_has_a_certificate():
    assert set(CLIENTS) <= {holder.file for holder in HOLDERS}


def test_a_servers_certificate_names_it_and_a_clients_names_its_group():
    holders = {holder.file: holder for holder in HOLDERS}
    assert "subjectAltName=DNS:local,IP:10.244.0.1\n" in holders["kubelet-serving"].extensions
    assert "subjectAltName" not in holders["admin"].extensions
    assert holders["admin"].subject == "/O=system:masters/CN=admin"
    assert holders["scheduler"].subject == "/CN=system:kube-scheduler"


def test_the_programs_are_kept_beside_those_of_other_sources():
    place = programs.place({"VLLM_PROMOTE_CACHE": "/cache"})
    assert place.parent == Path("/cache/vllm-promote")
    assert place.name.startswith("kubernetes-")


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_of_its_own_is_made_and_removed(tmp_path, version):
    root = tmp_path if version == 2 else tmp_path / "cpuset"
    root.mkdir(exist_ok=True)
    (tmp_path / "cgroup.controllers").touch() if version == 2 else (root / "cpuset.cpus").write_text("0-1")
    cgroups.make("lc-state", tmp_path)
    cgroups.make("lc-state", tmp_path)
    if version == 1:
        assert (root / "lc-state" / "cpuset.cpus").read_text() == "0-1"
        (root / "lc-state" / "cpuset.cpus").unlink()  # the kernel's files are no hindrance
    (root / "lc-state" / "kubepods" / "pod1").mkdir(parents=True)
    cgroups.remove("lc-state", tmp_path)
    assert not (root / "lc-state").exists()


def test_resources_are_written_as_name_and_count():
    assert command.counts(["nvidia.com/gpu=1", "example.com/x=0"]) == {"nvidia.com/gpu": 1, "example.com/x": 0}
    with pytest.raises(BadInput, match="written NAME=COUNT"):
        command.counts(["nvidia.com/gpu"])


def test_a_command_inside_has_no_proxy_that_is_outside():
    assert command.without_proxies({"HTTPS_PROXY": "p", "no_proxy": "n", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_commands_own_flags_are_left_to_it():
    asked = command.parser().parse_args(["--state", "/s", "exec", "--name", "s3", "--", "weed", "-ip", "x"])
    assert (asked.name, asked.argv) == ("s3", ["weed", "-ip", "x"])


def test_without_a_cluster_it_is_said_how_to_get_one(tmp_path, capsys):
    assert command.main(["--state", str(tmp_path), "exec", "--", "true"]) == 1
    said = capsys.readouterr().err
    assert f"Missing: no cluster has been started in {tmp_path}; run: python -m tests.cluster.kubernetes up" in said


def test_without_a_cluster_there_is_no_status(tmp_path, capsys):
    assert command.main(["--state", str(tmp_path), "status"]) == 0
    assert capsys.readouterr().out == f"no cluster in {tmp_path}\n"
