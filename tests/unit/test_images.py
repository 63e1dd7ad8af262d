"""How the images are made, as far as it shows without making one."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cluster.kubernetes import archive, builder, images, vllm
from tests.cluster.kubernetes.containerd import Containerd
from workflows.checkout import CHECKOUT

DOCKERFILES = [CHECKOUT / "images" / f"{name}.Dockerfile" for name in ("transfer", "cluster")]
IDENTITY = ("-c", "user.name=x", "-c", "user.email=x")
FILLING_CTR = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *"snapshots rm"*) exit 1;; *--mounts*) echo '[{{"Options": ["index=off", "upperdir={upper}"]}}]';; esac
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(tmp_path, *told, cwd=CHECKOUT):
    fake = program(tmp_path / "builder", '#!/bin/sh\nprintf "%s\\n" "$@" "--"\n')
    argv = ["make", "--no-print-directory", "images", f"BUILDER={fake}", *told]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


def test_make_images_builds_both_from_one_base(tmp_path):
    said = make(tmp_path, "BASE=example/python:1", "VERSION=1.2", "BUILD_FLAGS=--network=host").stdout
    for name in ("transfer", "cluster"):
        assert f"images/{name}.Dockerfile\n--tag\nvllm-promote/{name}:1.2\n.\n--\n" in said
    assert said.count("--network=host\n--build-arg\nBASE=example/python:1\n--build-arg\nVERSION=1.2\n") == 2


def test_make_images_leaves_the_base_to_the_dockerfiles_unless_told(tmp_path):
    said = make(tmp_path, "IMAGES=transfer").stdout
    assert "BASE=" not in said
    assert "vllm-promote/cluster" not in said


def test_an_images_labels_tell_what_it_was_made_from(tmp_path):
    """In a checkout of its own, which may be changed."""
    here = tmp_path / "checkout"
    here.mkdir()
    text = (CHECKOUT / "Makefile").read_text()
    (here / "Makefile").write_text(text)
    for argv in (["init", "--quiet"], ["add", "."], [*IDENTITY, "commit", "--quiet", "--message=x"]):
        subprocess.run(["git", *argv], cwd=here, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout
    said = make(tmp_path, "SOURCE=https://git.example/us", cwd=here).stdout
    assert f"\nREVISION={head.strip()}\n" in said
    assert "\nSOURCE=https://git.example/us\n" in said
    (here / "Makefile").write_text(f"{text}# changed\n")
    said = make(tmp_path, cwd=here).stdout
    assert f"\nREVISION={head.strip()}-dirty\n" in said
    assert "SOURCE=" not in said


def test_make_images_says_what_to_do_where_nothing_builds(tmp_path):
    done = make(tmp_path, "BUILDER=")
    assert done.returncode != 0
    assert "docker, podman or buildah is needed and none answers; install one" in done.stderr


def test_make_images_ends_with_the_first_that_cannot_be_built(tmp_path):
    broken = program(tmp_path / "broken", "#!/bin/sh\necho tried >&2; exit 3\n")
    done = make(tmp_path, f"BUILDER={broken}")
    assert done.returncode != 0
    assert done.stderr.count("tried") == 1


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_runs_as_nobody_in_particular_and_installs_what_is_locked(dockerfile):
    text = dockerfile.read_text()
    assert "USER 1000:1000" in text
    assert "--no-deps --require-hashes" in text
    assert "invalidation-mode=unchecked-hash" in text
    (lock,) = [word for word in text.split() if word.startswith("images/requirements-")]
    assert (CHECKOUT / lock).is_file()


def test_the_two_dockerfiles_differ_in_what_the_images_are_and_in_one_package():
    transfer, cluster = (set(path.read_text().splitlines()) for path in DOCKERFILES)
    assert len(transfer ^ cluster) <= 12


def test_nothing_but_steps_and_locks_goes_to_the_builder():
    rules = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules == ["*", "!images/requirements-*.txt", "!steps", "**/__pycache__"]


def test_an_image_is_made_anew_when_what_it_is_made_of_changes():
    transfer, cluster, *_ = images.ALL
    assert transfer.key() != cluster.key()
    assert transfer.key() == transfer.key()
    assert {path.name for path in transfer.made_of} == {"steps", "transfer.Dockerfile", "requirements-transfer.txt"}


def test_what_python_leaves_beside_its_sources_is_not_part_of_an_image(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").touch()
    (tmp_path / "a.py").touch()
    assert images._files(tmp_path) == [tmp_path / "a.py"]
    assert images._files(tmp_path / "a.py") == [tmp_path / "a.py"]


def test_of_an_images_archives_the_latest_is_kept(tmp_path):
    for name in ("image-a-1", "image-a-2", "image-b-1"):
        (tmp_path / name).mkdir()
    images._forget_others(tmp_path / "image-a-2", "image-a-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image-a-2", "image-b-1"]


def test_a_packed_directory_is_the_same_whoever_packs_it(tmp_path):
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        (root / "bin").mkdir(parents=True)
        program(root / "bin" / "pause", "x")
    os.utime(roots[1] / "bin" / "pause", (0, 0))
    one, two = (archive.pack("pause:1", root, ["/bin/pause"]) for root in roots)
    assert one == two


def test_a_packed_directory_is_an_image_of_one_layer(tmp_path):
    program(tmp_path / "pause", "x")
    packed = archive.pack("pause:1", tmp_path, ["/pause"])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar, tarfile.open(fileobj=tar.extractfile("layer.tar")) as layer:
        (entry,) = layer.getmembers()
    assert (entry.name, entry.uid, entry.mode) == ("pause", 0, 0o755)
    (tmp_path / "image.tar").write_bytes(packed)
    (diff_id,) = vllm.diff_ids(tmp_path / "image.tar")
    assert vllm.chains([diff_id]) == [diff_id]


def test_a_layer_is_called_by_all_that_is_below_it():
    """The numbers are those that containerd 1.6 gave to an image of two layers."""
    below = "sha256:cd08cf414848e24001da0a905cfcc40524baa433dc09d6797ab6fbc78888cc5e"
    above = "sha256:cfb8c9f020c2322c6a3c13de0152dc13b00021b33927dd6c5e6f211baa408fee"
    both = "sha256:610eaaa281ae32f260fac3e25e40aaafc9c236fe36d39b066eebd027633e3846"
    assert vllm.chains([below, above]) == [below, both]


def test_an_image_is_loaded_once_and_again_when_it_is_another(tmp_path, monkeypatch):
    log = tmp_path / "log"
    program(tmp_path / "ctr", f'#!/bin/sh\necho "$@" >> {log}\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    one, other = images.Archive("base:1", Path("/one/image.tar")), images.Archive("base:1", Path("/other/image.tar"))
    for wanted in (one, one, other):
        images.load(Containerd(tmp_path / "socket"), [wanted], tmp_path / "images.json")
    asked = [line.partition("images ")[2] for line in log.read_text().splitlines()]
    assert asked == ["import /one/image.tar", "import /other/image.tar"]


def test_a_layer_is_filled_without_copying_its_files(tmp_path, monkeypatch):
    tree, upper, log = tmp_path / "tree", tmp_path / "upper", tmp_path / "log"
    (tree / "opt").mkdir(parents=True)
    (tree / "opt" / "torch").write_text("5 GB")
    (tree / "opt" / "link").symlink_to("torch")
    upper.mkdir()
    program(tmp_path / "ctr", FILLING_CTR.format(log=log, upper=upper))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    Containerd(tmp_path / "socket").fill("sha256:chain", "sha256:parent", tree)
    assert (upper / "opt" / "torch").samefile(tree / "opt" / "torch")
    assert (upper / "opt" / "link").readlink() == Path("torch")
    asked = [line.partition("snapshots ")[2] for line in log.read_text().splitlines()]
    assert asked[1:] == [
        "prepare --mounts vllm-promote-filling sha256:parent",
        "commit sha256:chain vllm-promote-filling",
    ]


def test_pip_asks_within_a_build_where_it_asks_outside():
    listed = ":env:.index-url='https://mine/simple'\nglobal.index-url='https://other/simple'\nglobal.cert='/a'\n"
    assert builder.pip_configuration(listed) == "[global]\nindex-url = https://mine/simple\n"
    assert builder.pip_configuration("") == "[global]\n"
