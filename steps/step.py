"""What a step is to the rest of the world: a name, inputs and outputs, and how these travel through Argo."""

from dataclasses import Field, dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar


class Fields(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


I = TypeVar("I", bound=Fields)  # noqa: E741  # I and O are what inputs and outputs are called here
O = TypeVar("O", bound=Fields)  # noqa: E741


@dataclass(frozen=True, kw_only=True)
class Step(Generic[I, O]):
    """A step's name, the two dataclasses it maps between, and the image that holds what it needs."""

    name: str
    inputs: type[I]
    outputs: type[O]
    image: Literal["transfer", "cluster"]

    @property
    def module(self) -> str:
        """What ``python -m`` runs."""
        return f"steps.{self.name}"


def encode(value: object) -> str:
    """A field's value as the text that Argo carries; ``decode`` is its inverse. None travels as nothing."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def decode(kind: type, text: str) -> Any:
    """The text that Argo carries as a field's value.

    Raises ValueError for text that is no such value, TypeError for a kind that cannot travel as a parameter.
    """
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    if kind in (str, int, float):
        return kind(text)
    raise TypeError(f"{kind!r} cannot travel as an Argo parameter: put it into the store and pass its name")
