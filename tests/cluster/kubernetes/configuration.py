"""What the components read from files. Most of it is there because of a failure that was seen without it."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.kubernetes.layout import ADDRESS, BRIDGE, PAUSE, PODS, SERVICES, Layout

PLUGINS = "/usr/lib/cni"
"""Where Debian puts those of containernetworking-plugins."""
Json = dict[str, object]


def files(layout: Layout) -> dict[Path, str]:
    return {
        layout.etc / "containerd.toml": containerd(layout),
        layout.etc / "cni" / "10-bridge.conflist": json.dumps(pod_network(layout), indent=1),
        layout.etc / "kubelet.json": json.dumps(kubelet(layout), indent=1),
        layout.etc / "proxy.json": json.dumps(proxy(layout), indent=1),
        layout.etc / "Corefile": names(layout),
        layout.etc / "resolv.conf": "",
    }


def write(wanted: Mapping[Path, str]) -> None:
    """A file that says so already is left alone: kube-proxy ends itself when its own is written."""
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def containerd(layout: Layout) -> str:
    """Without CAP_SYS_RESOURCE no oom_score_adj can be lowered, and no pod would start."""
    return f"""\
version = 2
root = "{layout.state}/containerd"
state = "{layout.run}/containerd"

[grpc]
  address = "{layout.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.state}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{layout.etc}/cni"
"""


def pod_network(layout: Layout) -> Json:
    """Without a default route what is outside is unreachable at once; with one, some attempts would time out."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": SERVICES}],
        "dataDir": f"{layout.run}/ipam",
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "localcluster", "plugins": [bridge]}


def kubelet(layout: Layout) -> Json:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "port": 10250,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet-serving.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet-serving.key",
        "cgroupDriver": "cgroupfs",  # no systemd is asked
        "cgroupRoot": f"/{layout.name}",  # in another kubelet's, it would end what it does not know
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "resolvConf": f"{layout.etc}/resolv.conf",
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "podLogsDir": f"{layout.state}/podlogs",
        "maxPods": 100,
        # Nothing can be pulled, so nothing may be collected, and a disk that is half full is no pressure.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "20s",
    }


def proxy(layout: Layout) -> Json:
    """The limits of connection tracking are the machine's, and not to be touched."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("proxy"))},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": [PODS],
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def names(layout: Layout) -> str:
    """Names of Services; nobody is asked for other names."""
    return f"""\
.:53 {{
  bind {ADDRESS}
  errors
  cache 5
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {layout.kubeconfig()}
  }}
}}
"""
