"""A node of the configuration: frozen, no unknown keys, rules between its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from otel_exporter.config.values import Secret

#: Key of the validation's context: whether there is a key file, so that no listener lets anybody in unknown.
KEYS_ARE_ASKED: Final = "keys_are_asked"
Broken = tuple[tuple[str | int, ...], str]  # path from the section, reason


class Section(BaseModel):
    """A frozen node of the tree; unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def broken_rules(self) -> Iterator[Broken]:
        """The rules between the values of this section that do not hold."""
        yield from ()

    def exposed(self) -> Iterator[Broken]:
        """What is wrong unless API keys are asked for."""
        yield from ()

    @model_validator(mode="after")
    def _keep_rules(self, info: ValidationInfo) -> Self:
        broken = list(self.broken_rules())
        if not (info.context or {}).get(KEYS_ARE_ASKED):
            broken += self.exposed()
        if broken:
            raise PydanticCustomError("rules", "{broken}", {"broken": broken})
        return self


def unsendable(name: str, token: Secret) -> Iterator[Broken]:
    """A token that no header can carry."""
    if not all("!" <= character <= "~" for character in token.reveal()):
        yield (name,), "must be printable ASCII without spaces, or no HTTP header can carry it"
