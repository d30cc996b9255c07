"""A node of the configuration: frozen, no unknown keys, rules between its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

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
