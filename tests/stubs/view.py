"""What one of us knows by its own calls, by which it is judged: who wakes up late acts on what it saw before."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from steps.core import labels
from steps.core.record import Record
from tests.stubs.kube_scene import KubeScene
from tests.stubs.living import ready
from tests.stubs.scene import DEPLOYMENT


@dataclass
class View:
    """``proved``: the pods of its candidate that it saw last had all been asked."""

    owner: str = ""
    record: Record = field(default_factory=Record)
    proved: bool = False

    def see(self, scene: KubeScene, call: str) -> None:
        """What the call that is about to be made will give."""
        if call == f"get services/{DEPLOYMENT}":
            self.record = scene.record
        elif call == "list pods":
            pods = scene.cluster.pods(self.record.candidate or labels.NO_RELEASE)
            asked = {urlsplit(url).hostname for url in scene.asked}
            if there := {p["status"]["podIP"] for p in pods if ready(p)}:
                self.proved = there <= asked

    def may_stop_live(self, scene: KubeScene) -> bool:
        """To make room, or to start it again where clients have lost it already: section 6 of the design."""
        match self.record.phase:
            case "swapping" | "testing":
                return scene.known[self.record.candidate or ""].strategy == "recreate"
            case "rolling-back":
                return self.record.since is not None
            case phase:
                return phase == "repairing"
