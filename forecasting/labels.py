"""Labels narrow spending to calls that carry all of them: `team=search, model=gpt-4o`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: What a budget can be narrowed to: the columns that tables of calls, rollups and alert rules have in common.
LABELS: Final = (
    "organization", "team", "team_id", "project", "cost_center", "owner", "user_id", "api_key_alias", "api_key_hash",
    "environment", "agent", "application", "provider", "model", "requested_model", "gateway",
)  # fmt: skip


def text(labels: Mapping[str, str]) -> str:
    """Labels in one order, as people write them: ``model=gpt-4o, team=search``."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def condition(labels: Mapping[str, str]) -> str:
    """The WHERE clause of labels, whose values are parameters. Raises ValueError for a column that is no label."""
    if unknown := set(labels) - set(LABELS):
        raise ValueError(f"no label {min(unknown)!r}: one of {', '.join(LABELS)}")
    return "".join(f" AND toString({name}) = {{label_{name}:String}}" for name in sorted(labels))


def parameters(labels: Mapping[str, str]) -> dict[str, str]:
    """The parameters of `condition`."""
    return {f"label_{name}": value for name, value in labels.items()}
