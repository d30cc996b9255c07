"""A directory of names and limits as records of our tables, and the reader of what was imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from otel_exporter.asking import Ask, table
from otel_exporter.imports.records import Record, row
from otel_exporter.imports.spend_records import instant

if TYPE_CHECKING:
    from otel_exporter.litellm_api.directory import Entry
    from otel_exporter.render import Table

SCOPE: Final = "tokentide.import.litellm"
_NAMES: Final = """
SELECT kind, id, name, organization_id, team_id, user_id, source, imported_at FROM genai_names FINAL
WHERE tenant = {tenant:String} ORDER BY kind, id
"""


def imported(ask: Ask, tenant: str) -> Table:
    """The imported names of a tenant: kind (organization, team, key, user), id, name, what it belongs to, source."""
    return table(ask, _NAMES, {"tenant": tenant})


def records(entries: Iterable[Entry], at: int) -> list[Record]:
    """Names of everybody, and limits of those who have one (``at``: nanoseconds since 1970)."""
    known = list(entries)
    return [*(_name(entry, at) for entry in known), *(_limit(entry, at) for entry in known if entry.max_budget_usd)]


def _name(entry: Entry, at: int) -> Record:
    belongs = {"organization_id": entry.organization_id, "team_id": entry.team_id, "user.id": entry.user_id or None}
    return row("genai_names", at, {"source": "litellm", "kind": entry.kind, **belongs, **_who(entry, "name")})


def _limit(entry: Entry, at: int) -> Record:
    money = {"max_budget_usd": entry.max_budget_usd, "spend_usd": entry.spend_usd or None}
    reset = {"reset_at": instant(entry.reset_at)}
    return row("genai_limits", at, {"scope": entry.kind, **_who(entry, "alias"), **money, **reset})


def _who(entry: Entry, called: str) -> dict[str, str | None]:
    """A user's id and name go where the identity policy reaches them."""
    if entry.kind == "user":
        return {"user.id": entry.id, "user.name": entry.name or None}
    return {"id": entry.id, called: entry.name}
