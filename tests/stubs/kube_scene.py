"""A deployment in a living cluster in memory, and hands that work on it: the steps, through the adapter of clusters."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path

from steps import reconcile
from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.clients.kube.api import POD, SERVICE, WORKFLOW
from steps.clients.kube.serving import KubeServing
from steps.core import labels
from steps.core.budget import Patience
from steps.core.names import Layout, slug
from steps.core.record import Record, parse
from steps.core.release import Document, Release
from steps.core.workload import Where
from steps.ports.store import Store
from steps.stage import Stage
from tests.stubs.acts import Acts
from tests.stubs.chat import FakeChat, Model
from tests.stubs.living import LivingClock, LivingCluster, ready, weights_of
from tests.stubs.scene import DEPLOYMENT, make_manifest
from tests.stubs.store import FakeStore
from tests.stubs.watched import END, Moments, WatchedApi

BY_HAND = "by hand"
COMPLETED = "workflows.argoproj.io/completed"


@dataclass
class KubeScene:
    """What a test may set: ``faults`` of model servers by release id, ``whole`` directories of the volume."""

    clock: LivingClock = field(default_factory=LivingClock)
    store: FakeStore = field(default_factory=FakeStore)
    layout: Layout = field(default_factory=lambda: Layout("p"))
    faults: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    """``ORG--NAME/COMMIT``: a server that finds another ends as it starts."""
    unloadable: set[str] = field(default_factory=set)
    """Whole, and of no use to any server."""
    known: dict[str, Release] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    """Releases that a run's ``checksum`` has read."""
    asked: list[str] = field(default_factory=list)
    """Addresses of pods that were asked for a completion."""
    strays: set[str] = field(default_factory=set)
    """Addresses of pods whose server says that it serves other weights."""

    def __post_init__(self) -> None:
        self.cluster = LivingCluster(self.clock, lambda found: found not in self.whole or found in self.unloadable)
        self.api = self.cluster.api
        self._names = count(1)

    def publish(self, *releases: Release) -> None:
        """As resolve and populate would have done."""
        for release in releases:
            release_id, document = _document(release)
            self.store.objects[self.layout.release(DEPLOYMENT, release_id)] = document
            self.known[release_id] = release
            self.whole.add(weights(release))

    def spoil(self, release: Release) -> None:
        """Its directory is gone from the volume: what runs serves on, what starts from now on ends."""
        self.whole.discard(weights(release))

    def begin(self) -> str:
        """The uid of a new run, which lives."""
        body = {"metadata": {"name": f"run-{next(self._names)}", "labels": {COMPLETED: "false"}}}
        return str(self.api.create(WORKFLOW, body)["metadata"]["uid"])

    def end(self, *owners: str) -> None:
        """Runs and reconcilers are over."""
        for kind in (WORKFLOW, POD):
            for name, body in self.cluster.objects(kind).items():
                if body["metadata"]["uid"] in owners:
                    self.api.delete(kind, name)
                    if kind is POD:
                        self.api.gone(name)

    def hand(self, owner: str = "", at: Callable[[str], None] = lambda _call: None) -> "Hand":
        """Of a run, or of a reconciler where no ``owner`` is said; ``at`` is of ``Moments``."""
        if not owner:
            body = {"metadata": {"name": f"reconcile-{next(self._names)}"}, "status": {"phase": "Running"}}
            owner = self.api.create(POD, body)["metadata"]["uid"]
        return Hand(self, owner, Moments(at))

    def live(self, release: Release) -> None:
        """As an earlier run left it."""
        self.publish(release)
        self.read.add(release.release_id)
        owner = self.begin()
        self.hand(owner).promotes(release)
        self.end(owner)

    @property
    def record(self) -> Record:
        service = self.cluster.objects(SERVICE).get(DEPLOYMENT)
        told = service["metadata"]["annotations"].get(labels.RECORD) if service else None
        return parse(told, "the Service") if told else Record()

    @property
    def target(self) -> str | None:
        """The release of the selector; None for nobody, BY_HAND for what is not ours."""
        service = self.cluster.objects(SERVICE).get(DEPLOYMENT)
        selector = service["spec"]["selector"] if service else labels.pods(DEPLOYMENT, labels.NO_RELEASE)
        release_id = selector.get(labels.RELEASE, BY_HAND)
        if selector != labels.pods(DEPLOYMENT, release_id):
            return BY_HAND
        return None if release_id == labels.NO_RELEASE else str(release_id)

    @property
    def reached(self) -> list[str]:
        """Addresses of the pods that clients are sent to."""
        return [p["status"]["podIP"] for p in self.cluster.pods(self.target) if ready(p)] if self.target else []

    @property
    def running(self) -> set[str]:
        """Releases that have pods, ending ones among them."""
        return {p["metadata"]["labels"][labels.RELEASE] for p in self.cluster.pods()}

    @property
    def workloads(self) -> dict[str, int]:
        """Wanted replicas of each release that is there."""
        found = self.cluster.objects(WORKLOAD).values()
        return {d["metadata"]["labels"][labels.RELEASE]: d["spec"]["replicas"] for d in found}

    def serves(self, release: Release) -> bool:
        """Whether clients find it whole: the pointer is there, so many pods answer with its weights, nothing else."""
        models = [self.at(f"http://{address}:8000") for address in self.reached]
        right = [m for m in models if m and m.root.endswith(weights(release)) and not m.fault]
        enough = len(right) >= release.replicas
        return self.target == release.release_id and enough and len(right) == len(models)

    @property
    def told(self) -> str:
        """For the message of an assertion."""
        return f"{self.record}, clients at {self.target}, {self.workloads} wanted, {self.running} running"

    def at(self, url: str) -> Model | None:
        address = url.removeprefix("http://").rpartition(":")[0]
        if not address:  # without a port: the endpoint
            address = next(iter(self.reached), "")
        pod = next((p for p in self.cluster.pods() if p["status"].get("podIP") == address and ready(p)), None)
        if pod is None:
            return None
        release = self.known[pod["metadata"]["labels"][labels.RELEASE]]
        fault = "wrong-root" if address in self.strays else self.faults.get(release.release_id, "")
        return Model(served_name=release.serving.served_name, root=f"/models/{weights_of(pod)}", fault=fault)

    @property
    def mark(self) -> tuple[object, ...]:
        """The same for two moments between which nothing outside has changed."""
        return (self.api.version, self.clock.time, len(self.asked), len(self.store.objects))


@dataclass
class Hand(Acts):
    """The steps of one run, or a reconciler, as processes that see the world through their calls alone."""

    scene: KubeScene
    owner: str
    moment: Moments

    def __post_init__(self) -> None:
        scene = self.scene
        self.layout = scene.layout
        self.stage = Stage(
            deployment=DEPLOYMENT,
            serving=KubeServing(
                WatchedApi(scene.api, self.moment), DEPLOYMENT, Where(claim="models", volume="/models"), scene.clock
            ),
            chat=FakeChat(self._at, scene.asked),
            clock=scene.clock,
            patience=Patience(request=4.0, startup=60.0, retry_base=1.0),
            volume=Path("/models"),
        )

    def promotes(self, release: Release) -> None:
        self.run(release, self.owner)
        self.moment(END)

    def rolls_back(self) -> str:
        outcome = self.rollback(self.owner).outcome
        self.moment(END)
        return outcome

    def reconciles(self) -> str:
        done = reconcile.settle(self.stage, self.owner)
        self.moment(END)
        return done

    def _at(self, url: str) -> Model | None:
        self.moment(f"ask {url}")
        return self.scene.at(url)

    def _documents(self) -> Store:
        self.moment("ask the store")
        return self.scene.store


@cache
def _document(release: Release) -> tuple[str, bytes]:
    """Its id and its document."""
    return release.release_id, Document(release=release, manifest=make_manifest(release.commit[0])).dump()


def weights(release: Release) -> str:
    return f"{slug(release.model)}/{release.commit}"


def twice(release: Release) -> Release:
    """The same with two replicas."""
    return replace(release, replicas=2)
