"""A node of the configuration: frozen, no unknown keys, rules between its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from otel_exporter.config.values import Secret

Broken = tuple[tuple[str | int, ...], str]  # path from the section, reason


class Section(BaseModel):
    """A frozen node of the tree; unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def broken_rules(self) -> Iterator[Broken]:
        """The rules between the values of this section that do not hold."""
        yield from ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        if broken := list(self.broken_rules()):
            raise PydanticCustomError("rules", "{broken}", {"broken": broken})
        return self


def unsendable(name: str, token: Secret) -> Iterator[Broken]:
    """A token that no header can carry."""
    if not all("!" <= character <= "~" for character in token.reveal()):
        yield (name,), "must be printable ASCII without spaces, or no HTTP header can carry it"
