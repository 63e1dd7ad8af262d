"""What people, and machines that know nothing of us, do to a deployment: see ``interleaving``."""

from collections.abc import Callable, Mapping

from steps.clients.kube.api import DEPLOYMENT as WORKLOAD
from steps.clients.kube.api import SERVICE
from steps.core import labels
from tests.stubs.invariants import Watching
from tests.stubs.scene import DEPLOYMENT

Deed = Callable[[Watching, int], None]
"""Of a person, or of a machine, at one of the releases."""


def scales(replicas: int) -> Deed:
    return lambda world, which: world.edit(WORKLOAD, world.name(which), {"spec": {"replicas": replicas}})


def edits_the_template(world: Watching, which: int) -> None:
    """Each time to something else."""
    change = {"metadata": {"annotations": {"somebody": str(world.scene.api.version)}}}
    world.edit(WORKLOAD, world.name(which), {"spec": {"template": change}})


def deletes_a_deployment(world: Watching, which: int) -> None:
    if world.name(which) in world.scene.cluster.objects(WORKLOAD):
        world.by_hand = True
        world.scene.api.delete(WORKLOAD, world.name(which))
        world.by_hand = False
        world.gone.add(world.releases[which].release_id)


def moves_the_pointer(world: Watching, which: int) -> None:
    if world.scene.cluster.objects(SERVICE):
        release_id = world.releases[which].release_id
        selector = labels.pods(DEPLOYMENT, release_id)
        world.selector = None if release_id == world.scene.record.live else selector
        world.edit(SERVICE, DEPLOYMENT, {"spec": {"selector": selector}})


def puts_the_pointer_back(world: Watching, _which: int = 0) -> None:
    if world.selector is not None:
        world.selector = None
        target = labels.pods(DEPLOYMENT, world.scene.record.live or labels.NO_RELEASE)
        world.edit(SERVICE, DEPLOYMENT, {"spec": {"selector": target}})


DEEDS: Mapping[str, Deed] = {
    "stops a release": scales(0),
    "scales it to one": scales(1),
    "scales it to two": scales(2),
    "edits its template": edits_the_template,
    "deletes its Deployment": deletes_a_deployment,
    "moves the pointer": moves_the_pointer,
    "puts the pointer back": puts_the_pointer_back,
    "deletes its directory": lambda world, which: world.scene.spoil(world.releases[which]),
    "populates its directory": lambda world, which: world.scene.publish(world.releases[which]),
    "loses the node": lambda world, _which: world.scene.cluster.lose_pods(),
}
