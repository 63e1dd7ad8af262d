"""The cluster's own authority, a certificate for each component, and kubeconfigs. Made once for each state."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubernetes.layout import ADDRESS, API, CLIENTS, FIRST_SERVICE, NODE, Layout
from tests.cluster.kubernetes.shell import run
from workflows.local.demo import cache

DAYS = "3650"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
"""RSA's would take seconds for all of them."""
API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True, slots=True)
class Holder:
    """Kubernetes reads the user from the common name and its groups from the organisation."""

    file: str
    common: str
    group: str = ""
    names: tuple[str, ...] = ()
    """Under which a server is reached, as openssl's subjectAltName takes them."""

    @property
    def subject(self) -> str:
        return f"/O={self.group}/CN={self.common}" if self.group else f"/CN={self.common}"

    @property
    def extensions(self) -> str:
        usage = "extendedKeyUsage=serverAuth,clientAuth\n"
        return usage + (f"subjectAltName={','.join(self.names)}\n" if self.names else "")


API_SERVER = (*(f"DNS:{name}" for name in API_NAMES), f"IP:{ADDRESS}", f"IP:{FIRST_SERVICE}")
HOLDERS = (
    Holder("apiserver", "kube-apiserver", names=API_SERVER),
    Holder("kubelet-serving", NODE, names=(f"DNS:{NODE}", f"IP:{ADDRESS}")),
    Holder("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
    Holder("admin", "admin", "system:masters"),
    Holder("controller-manager", "system:kube-controller-manager"),
    Holder("scheduler", "system:kube-scheduler"),
    Holder("proxy", "system:kube-proxy"),
    Holder("kubelet", f"system:node:{NODE}", "system:nodes"),
)


def ensure(layout: Layout) -> None:
    cache.made(layout.pki, _make)
    for user in CLIENTS:
        path = layout.kubeconfig(user)
        path.touch(mode=0o600)
        path.write_text(json.dumps(kubeconfig(layout, user), indent=1))


def kubeconfig(layout: Layout, user: str) -> dict[str, object]:
    """JSON is YAML, and easier to read back."""

    def text(name: str) -> str:
        return base64.b64encode((layout.pki / name).read_bytes()).decode()

    cluster = {"server": API, "certificate-authority-data": text("ca.crt")}
    login = {"client-certificate-data": text(f"{user}.crt"), "client-key-data": text(f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NODE,
        "clusters": [{"name": NODE, "cluster": cluster}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": user}}],
    }


def _make(directory: Path) -> None:
    directory.chmod(0o700)
    authority = ("-x509", "-subj", "/CN=localcluster", "-days", DAYS, "-keyout", "ca.key", "-out", "ca.crt")
    run("openssl", "req", *KEY, *authority, cwd=directory)
    for holder in HOLDERS:
        _certify(directory, holder)
    # What service accounts' tokens are signed with, and proved by.
    run("openssl", "genpkey", "-algorithm", "EC", *KEY[2:4], "-out", "sa.key", cwd=directory)
    run("openssl", "pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub", cwd=directory)


def _certify(directory: Path, holder: Holder) -> None:
    (directory / "extensions").write_text(holder.extensions)
    ours = ("-keyout", f"{holder.file}.key", "-subj", holder.subject, "-out", "request")
    run("openssl", "req", *KEY, *ours, cwd=directory)
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS, "-extfile", "extensions")
    run("openssl", "x509", "-req", "-in", "request", *signed, "-out", f"{holder.file}.crt", cwd=directory)
