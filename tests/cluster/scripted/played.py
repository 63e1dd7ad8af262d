"""A scenario as the local engine plays it: no process, and no waiting but for the engine's own look now and then."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from steps.core.run import Run
from tests.cluster.scripted.scenario import STOPPED, TOLD, Part, Scenario, of_share, part_of
from tests.stubs.rendered import BUILDERS
from workflows.local.attempt import Ending, Launch, gathered
from workflows.local.engine import Engine
from workflows.local.environment import Sources
from workflows.pods import SETTINGS, TemplateConfig

SIGKILLED, SIGTERMED = 137, 143
RUN = "run"
SOURCES = Sources(config_maps={SETTINGS: {}}, secrets={}, environ={})


def parameters(scenario: Scenario, manifest: Mapping[str, Any]) -> dict[str, str]:
    """All that the template asks for."""
    known = {**TOLD, "revision": "main", "deployment": scenario.name}
    return {p["name"]: known[p["name"]] for p in manifest["spec"]["arguments"]["parameters"]}


def play_quickly(scenario: Scenario, home: Path) -> list[Run]:
    """How each of its lives ended."""
    return play(_impatient(scenario.template), scenario, home)


def play(manifest: Mapping[str, Any], scenario: Scenario, home: Path) -> list[Run]:
    """The same; ``manifest`` is the template that the scenario names."""
    runs = [_engine(manifest, scenario, home, life=0).run(parameters(scenario, manifest), RUN)]
    if scenario.again is not None:
        runs.append(_engine(manifest, scenario, home, life=1).retry(runs[0]))
    return runs


@cache
def _impatient(template: str) -> Mapping[str, Any]:
    built: dict[str, Any] = BUILDERS[template](TemplateConfig(retry_base_seconds=0.0)).to_dict()
    return built


def _engine(manifest: Mapping[str, Any], scenario: Scenario, home: Path, *, life: int) -> Engine:
    stage = _Stage(scenario, life)
    stage.engine = Engine(manifest, home, SOURCES, start=stage.start)
    return stage.engine


@dataclass
class _Stage:
    scenario: Scenario
    life: int
    engine: Engine = field(init=False)
    _attempts: Counter[str] = field(default_factory=Counter)
    """Of this life, by step and share."""

    def start(self, launch: Launch) -> "_Played":
        step, share = launch.template, launch.inputs.get("shard", "")
        part = of_share(part_of(self.scenario.lives()[self.life], step, self._attempts[step + share]), share)
        self._attempts[step + share] += 1
        disturbed = self.scenario.interruption if self.life == 0 else None
        if not disturbed or disturbed.step != step:
            return _Played(launch, part, self.scenario.deadlines.get(step))
        if disturbed.deed == "Stop":
            self.engine.stop()
        elif disturbed.deed == "Terminate":
            self.engine.terminate()
        return _Played(launch, part, None, deleted=disturbed.deed == "delete pod" and part.waits)


@dataclass
class _Played:
    """Implements ``Execution``."""

    launch: Launch
    part: Part
    deadline: int | None
    deleted: bool = False
    _stopped: bool = False

    def poll(self) -> Ending | None:
        if self.deleted or (self._stopped and not self.part.deaf):
            return self._failed(SIGTERMED)
        if self.part.waits:
            return self._failed(SIGTERMED, overdue=True) if self.deadline else None
        if self.part.killed or self.part.deaf:  # the local engine has no patience without end
            return self._failed(SIGKILLED)
        if self.part.code:
            return self._failed(self.part.code)
        self._write_outputs()
        return gathered(self.launch, 0)

    def stop(self) -> None:
        self._stopped = True

    def progress(self) -> str:
        return self.part.progress

    def _failed(self, code: int, *, overdue: bool = False) -> Ending:
        self.launch.output_dir.mkdir(parents=True, exist_ok=True)
        self.launch.log.touch()
        said = STOPPED if code == SIGTERMED else self.part.say
        self.launch.termination_log.write_text(said)
        return gathered(self.launch, code, overdue=overdue)

    def _write_outputs(self) -> None:
        self.launch.output_dir.mkdir(parents=True)
        for name, text in self.part.outputs.items():
            (self.launch.output_dir / name).write_text(text)
