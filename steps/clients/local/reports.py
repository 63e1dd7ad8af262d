"""Reports on one machine: ``reports/RUN/NAME`` below the local directory."""

from dataclasses import dataclass
from pathlib import Path

from steps.errors import NoSpace


@dataclass(frozen=True)
class Reports:
    """Each file appears whole or not at all."""

    directory: Path

    def put(self, run: str, name: str, body: bytes) -> None:
        """Replaces what is there. Raises NoSpace."""
        path = self.directory / run / name
        aside = path.with_name(f".{name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(body)
            aside.replace(path)
        except OSError as err:
            raise NoSpace(f"{path} cannot be written ({err.strerror}); free the disk or its rights") from err
