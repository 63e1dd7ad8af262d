"""Step contracts as Hera templates and tasks: the two worlds meet here, and neither knows of the other.

At run time a contract's field holds a value; while the workflow is built the same field holds an Argo reference. That
is why contracts are dataclasses, which do not check what they are given, and why every renamed output, forgotten input
or mistyped wire is an error of the type checker, long before Argo would see it.
"""

import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from hera.workflows import DAG, Container, Parameter, RetryStrategy, Task
from hera.workflows.models import Backoff, IntOrString, ValueFrom

from steps.core.amounts import plain
from steps.entry import flag
from steps.errors import Transient
from steps.step import Fields, I, O, Step, encode
from workflows import argument

OUTPUT_DIR = "/tmp/outputs"  # noqa: S108  # inside the pod, on its emptyDir; what steps.settings has as its default
LOST = -1
"""What Argo gives as the exit code of a pod that vanished."""
KILLED = (137, 143)
"""SIGKILL (memory, eviction, a deadline that was ignored) and SIGTERM."""
RETRYABLE = (LOST, Transient.exit_code, *KILLED)
EXPRESSION = f"lastRetry.status == 'Error' or asInt(lastRetry.exitCode) in [{', '.join(map(str, RETRYABLE))}]"
"""Decides alone: a ``retryPolicy`` beside it would be ANDed to it and lose the Errors."""

FACTOR = 5
ITEM = "{{item}}"
"""One of those that ``Flow.call_each`` is given."""

_REFERENCE = re.compile(r"\{\{[^{}]+\}\}")
_SOURCE = re.compile(r"\{\{tasks\.([\w-]+)\.")


def retry(limit: int, base_seconds: float, cap_seconds: float = 300.0) -> RetryStrategy:
    """Up to ``limit`` further attempts, ``base_seconds`` apart at first, then five times as long each, up to the cap.

    Argo waits before it looks whether a failure is one to retry at all. So the first wait is short: it also stands
    between a refusal and whoever waits for it, and between a failed candidate and the way back.
    """
    return RetryStrategy(
        limit=IntOrString(root=limit),
        expression=EXPRESSION,
        backoff=Backoff(
            duration=f"{plain(base_seconds)}s",
            factor=IntOrString(root=FACTOR),
            cap=f"{plain(max(base_seconds, cap_seconds))}s",
        ),
    )


def container(step: Step[Any, Any], *, image: str, retry_strategy: RetryStrategy, **pod: Any) -> Container:
    """The template of a step: parameters, flags and output files all read off its contract."""
    return Container(
        name=step.name,
        image=image,
        command=["python", "-m", step.module],
        args=[f"{flag(f.name)}={argument.reference(f.name)}" for f in fields(step.inputs)],
        inputs=[_input(f) for f in fields(step.inputs)],
        outputs=[_output(f) for f in fields(step.outputs)],
        retry_strategy=retry_strategy,
        **pod,
    )


@dataclass
class Flow:
    """A DAG in the making. A task waits for the tasks whose outputs it is given or asks about, and for ``after``."""

    name: str
    _tasks: list[Task] = field(default_factory=list)
    _ancestors: dict[str, frozenset[str]] = field(default_factory=dict)

    def call(self, step: Step[I, O], inputs: I, *, after: Iterable[Step[Any, Any]] = (), when: str | None = None) -> O:
        """Add a task; return its outputs, each field holding an Argo reference.

        Raises ValueError when a reference was computed with (``"x" + out.y``) or names no earlier task.
        """
        self._call(step, inputs, after=after, when=when)
        return step.outputs(
            **{f.name: f"{{{{tasks.{step.name}.outputs.parameters.{f.name}}}}}" for f in fields(step.outputs)}
        )

    def call_each(self, step: Step[I, Any], inputs: I, *, items: str, when: str | None = None) -> None:
        """Add a task that runs once for each of ``items``, an output that is a JSON list; ``ITEM`` stands for it.

        Nobody is given its outputs: each run has its own.
        """
        self._call(step, inputs, when=when, items=items)

    def _call(
        self,
        step: Step[I, Any],
        inputs: I,
        *,
        after: Iterable[Step[Any, Any]] = (),
        when: str | None,
        items: str | None = None,
    ) -> None:
        texts = (*_values(inputs).values(), when or "", items or "")
        wanted = (*_sources(texts), *(s.name for s in after))
        depends = " && ".join(self._nearest(step.name, wanted))
        self._add(step, inputs, depends=depends or None, when=when, parents=wanted, items=items)

    def finally_call(self, step: Step[I, O], inputs: I, *, after: Step[Any, Any]) -> None:
        """Add a task that runs however ``after`` ended."""
        depends = " || ".join(f"{after.name}.{end}" for end in ("Succeeded", "Failed", "Errored", "Skipped"))
        self._add(step, inputs, depends=depends, when=None, parents=(after.name,))

    def dag(self) -> DAG:
        return DAG(name=self.name, tasks=[*self._tasks])

    def _add(  # noqa: PLR0913  # what Argo is told of a task
        self,
        step: Step[I, Any],
        inputs: I,
        *,
        depends: str | None,
        when: str | None,
        parents: Iterable[str],
        items: str | None = None,
    ) -> None:
        above = frozenset(parents)
        self._ancestors[step.name] = above.union(*(self._ancestors[name] for name in above))
        arguments = [Parameter(name=name, value=value) for name, value in _values(inputs).items()]
        self._tasks.append(
            Task(name=step.name, template=step.name, depends=depends, when=when, arguments=arguments, with_param=items)
        )

    def _nearest(self, name: str, wanted: Iterable[str]) -> list[str]:
        """Wanted tasks without those that another of them waits for anyway."""
        if unknown := set(wanted) - set(self._ancestors):
            raise ValueError(f"{name} refers to {', '.join(sorted(unknown))}, which no earlier call has made")
        implied = frozenset[str]().union(*(self._ancestors[w] for w in wanted))
        return [w for w in dict.fromkeys(wanted) if w not in implied]


def _input(f: Field[Any]) -> Parameter:
    # Leave default out rather than pass None: Hera would write 'null', and a required input would become optional.
    return Parameter(name=f.name) if f.default is MISSING else Parameter(name=f.name, default=encode(f.default))


def _output(f: Field[Any]) -> Parameter:
    path = f"{OUTPUT_DIR}/{f.name}"
    if f.default is MISSING:
        return Parameter(name=f.name, value_from=ValueFrom(path=path))
    # Argo gives a skipped task's output this value; without one, a task that refers to it would fail.
    return Parameter(name=f.name, value_from=ValueFrom(path=path, default=encode(f.default)))


def _values(inputs: Fields) -> dict[str, str]:
    values = {f.name: encode(getattr(inputs, f.name)) for f in fields(inputs)}
    for name, value in values.items():
        if "{{" in value and not _REFERENCE.fullmatch(value):
            raise ValueError(f"{type(inputs).__name__}.{name}: pass a reference whole, not computed with: {value!r}")
    return values


def _sources(texts: Iterable[str]) -> list[str]:
    """Names of the tasks that the texts refer to."""
    return [name for text in texts for name in _SOURCE.findall(text)]
