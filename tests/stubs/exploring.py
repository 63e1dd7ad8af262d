"""Kill a piece of work at every moment, and let happen, of each moment anew, whatever would happen next."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from steps.core.release import Release
from steps.errors import Corrupt, StepError, Transient
from tests.stubs.kube_scene import Hand, KubeScene, weights
from tests.stubs.scene import Killed
from tests.stubs.watched import END, is_write

At = Callable[[str], None]
ATTEMPTS = 3
"""Of a step whose failure may pass, as the template says."""


def undisturbed(_call: str) -> None:
    pass


@dataclass
class Promotion:
    """A run of the workflow: its steps in order, each with what the ones before it gave."""

    scene: KubeScene
    release: Release
    owner: str = ""
    done: list[str] = field(default_factory=list)
    proof: str = ""

    def __post_init__(self) -> None:
        self.owner, self.proved = self.owner or self.scene.begin(), ""

    def hand(self, at: At = undisturbed) -> Hand:
        return self.scene.hand(self.owner, at)

    def go(self, at: At = undisturbed) -> None:
        """From the step at which it was killed; every attempt is a process of its own. Raises what ends the run."""
        hand = self.hand(at)
        for name in ("checksum", "deploy", "smoke", "promote"):
            step = getattr(self, f"_{name}")
            if name not in self.done:
                _attempted(partial(step, hand))
                hand.moment(END)
                self.done.append(name)

    def whole(self, at: At = undisturbed) -> None:
        """With its exit handler."""
        with suppress(StepError):
            self.go(at)
        self.exits(at)

    def exits(self, at: At = undisturbed) -> None:
        try:
            self.hand(at).rolls_back()
        except StepError:
            self.scene.end(self.owner)
            raise
        self.scene.end(self.owner)

    def _checksum(self, hand: Hand) -> None:
        """Of the candidate and of what serves now."""
        hand.moment("read the volume")
        live = self.scene.known.get(self.scene.record.live or "")
        for release in filter(None, (self.release, live)):
            if weights(release) not in self.scene.whole:
                raise Corrupt(f"{release.commit} is not published on the volume")
        self.proved = live.commit if live else ""
        self.scene.read.add(self.release.release_id)

    def _deploy(self, hand: Hand) -> None:
        hand.deploy(self.release, self.owner, proved_commit=self.proved)

    def _smoke(self, hand: Hand) -> None:
        self.proof = hand.smoke(self.release, self.owner, proved_commit=self.proved).proof

    def _promote(self, hand: Hand) -> None:
        hand.promote(self.release, self.owner, proof=self.proof, proved_commit=self.proved)


def _attempted(step: Callable[[], None]) -> None:
    for _ in range(ATTEMPTS - 1):
        with suppress(Transient):
            return step()
    return step()


@dataclass(frozen=True)
class Explored:
    """``moments`` at which the work was killed; ``states`` of the world that this left, each one gone on from."""

    moments: int
    states: int
    continuations: int


Setting = tuple[KubeScene, Promotion]
Work = Callable[[KubeScene, Promotion, At], object]
Next = Callable[[KubeScene, Promotion], object]


def deployed(make: Callable[[], Setting], *steps: str) -> Callable[[], Setting]:
    """A run that got as far as these steps."""

    def made() -> Setting:
        scene, promotion = make()
        hand = promotion.hand()
        for step in ("checksum", *steps):
            getattr(promotion, f"_{step}")(hand)
            promotion.done.append(step)
        return scene, promotion

    return made


def explore(
    make: Callable[[], Setting], work: Work, then: Mapping[str, Next], look: Next, *, stride: int = 1
) -> Explored:
    """``look`` at each moment, then go on in each way; with a ``stride`` from each so manieth state alone.

    Where nothing outside has changed since another moment, what would follow has been seen.
    """
    seen, moments, gone_on, continuations = set[object](), 0, 0, 0
    for nth in count():
        killed = _killed(make, work, nth)
        if killed is None:
            return Explored(moments, gone_on, continuations)
        moments += 1
        scene, promotion, call = killed
        if scene.mark in seen:
            continue
        seen.add(scene.mark)
        look(scene, promotion)
        if len(seen) % stride:
            continue
        gone_on += 1
        for name, go_on in then.items():
            scene, promotion, call = _killed(make, work, nth) or killed
            where = f"killed at moment {nth}, before `{call}`; then {name}"
            try:
                go_on(scene, promotion)
            except (AssertionError, StepError) as err:
                raise AssertionError(f"{where}: {type(err).__name__}: {err}; {scene.told}") from err
            continuations += 1
    raise AssertionError("a count does not end")


def _killed(make: Callable[[], Setting], work: Work, nth: int) -> tuple[KubeScene, Promotion, str] | None:
    """What is left by work that was killed at moment ``nth``; None where there is no such moment."""
    scene, promotion = make()
    calls = count()
    last = ""

    def at(call: str) -> None:
        nonlocal last
        last = call
        if next(calls) == nth:
            raise Killed

    try:
        work(scene, promotion, at)
    except Killed:
        return scene, promotion, last
    except StepError:
        pass
    return None


def once_before_each_write(disturb: Callable[[str], None], at: At) -> At:
    """Somebody else is quicker each time: the call that is made anew in answer to that is another moment."""
    before = ""

    def both(call: str) -> None:
        nonlocal before
        at(call)
        if is_write(call) and call != before:
            disturb(call)
        before = call if is_write(call) else before

    return both
