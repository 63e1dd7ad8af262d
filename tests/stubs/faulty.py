"""A volume behind its Protocol that raises at a call of our choice; otherwise it is the one behind it."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from steps.core.manifest import Manifest
from steps.ports.volume import Draft, Staging, WritableVolume

ONLY_NAMES = ("leave",)
"""What never raises."""


class Faulty:
    """Calls of this name, or all, count from 1, those to its stagings and drafts with them, from whatever thread."""

    def __init__(self, number: int, fail: Callable[[], BaseException], name: str = "") -> None:
        self.failed: list[str] = []
        self._number = number
        self._fail = fail
        self._name = name
        self._calls = itertools.count(1)

    def before(self, volume: WritableVolume) -> WritableVolume:
        made: WritableVolume = _Volume(volume, self)
        return made

    def call(self, name: str) -> None:
        if self._name in ("", name) and next(self._calls) == self._number:
            self.failed.append(name)
            raise self._fail()


class _Passing:
    def __init__(self, behind: Any, fault: Faulty) -> None:
        self._behind = behind
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._behind, name)

        def called(*args: Any, **options: Any) -> Any:
            if name not in ONLY_NAMES:
                self._fault.call(name)
            return method(*args, **options)

        return called


class _Volume(_Passing):
    @contextmanager
    def _staged(self, manifest: Manifest) -> Iterator[Staging]:
        with self._behind.stage(manifest) as staging:
            yield _Staging(staging, self._fault)

    def stage(self, manifest: Manifest) -> AbstractContextManager[Staging]:
        self._fault.call("stage")
        return self._staged(manifest)


class _Staging(_Passing):
    @contextmanager
    def write(self, file: Any) -> Iterator[Draft]:
        self._fault.call("write")
        with self._behind.write(file) as draft:
            yield _Draft(draft, self._fault)


class _Draft(_Passing):
    def write(self, *args: Any) -> None:
        self._fault.call("draft.write")
        self._behind.write(*args)
