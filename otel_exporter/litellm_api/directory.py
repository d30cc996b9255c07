"""Who is who in a LiteLLM proxy: organisations, teams, keys and users with their limits, and the models' prices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from otel_exporter.failures import Refused, RetryLater
from otel_exporter.litellm_api.client import LiteLLM

_PAGE: Final = 100  # the most `/key/list` and `/user/list` give
_PRICES: Final = "cost"


@dataclass(frozen=True)
class Entry:
    """A team, key, user ... and what it may spend. Money is text as the proxy wrote it; '' is unknown."""

    kind: str
    id: str
    name: str
    organization_id: str = ""
    team_id: str = ""
    user_id: str = ""
    max_budget_usd: str = ""
    spend_usd: str = ""
    reset_at: str = ""


@dataclass(frozen=True)
class Directory:
    """Everybody, and what could not be read."""

    entries: tuple[Entry, ...] = ()
    prices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def name(self, kind: str, identifier: str) -> str:
        """The name behind an id, '' when there is none."""
        return self._names.get((kind, identifier), "")

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], str]:
        return {(entry.kind, entry.id): entry.name for entry in self.entries}


def read(proxy: LiteLLM) -> Directory:
    """The whole directory. What this key or this version of LiteLLM does not give is named in `unread`."""
    entries: list[Entry] = []
    unread: list[str] = []
    readers: dict[str, Callable[[LiteLLM], Iterator[Entry]]] = {
        "organisations": _organizations,
        "teams": _teams,
        "keys": _keys,
        "deleted keys": _deleted_keys,
        "users": _users,
    }
    for name, reader in readers.items():
        try:
            entries += reader(proxy)
        except (Refused, RetryLater):
            unread.append(name)
    try:
        prices = dict(_prices(proxy))
    except (Refused, RetryLater):
        prices = {}
        unread.append("model prices")
    unique = {(entry.kind, entry.id): entry for entry in reversed(entries) if entry.id}
    return Directory(tuple(reversed(unique.values())), prices, tuple(unread))


def _organizations(proxy: LiteLLM) -> Iterator[Entry]:
    for row in proxy.get("/organization/list"):
        budget = row.get("litellm_budget_table") or {}
        yield _entry("organization", row, "organization_id", row.get("organization_alias"), budget)


def _teams(proxy: LiteLLM) -> Iterator[Entry]:
    for row in proxy.get("/team/list"):
        yield _entry("team", row, "team_id", row.get("team_alias"), row)


def _keys(proxy: LiteLLM, **only: str) -> Iterator[Entry]:
    for row in _pages(proxy, "/key/list", "keys", size=_PAGE, return_full_object="true", **only):
        if isinstance(row, Mapping):
            yield _entry("key", row, "token", row.get("key_alias"), row)


def _deleted_keys(proxy: LiteLLM) -> Iterator[Entry]:
    """Old spending belongs to keys that are gone."""
    for entry in _keys(proxy, status="deleted"):
        yield Entry(entry.kind, entry.id, entry.name, entry.organization_id, entry.team_id, entry.user_id)


def _users(proxy: LiteLLM) -> Iterator[Entry]:
    for row in _pages(proxy, "/user/list", "users", page_size=_PAGE):
        yield _entry("user", row, "user_id", row.get("user_alias") or row.get("user_email"), row)


def _entry(kind: str, row: Mapping[str, Any], identifier: str, name: object, budget: Mapping[str, Any]) -> Entry:
    return Entry(
        kind=kind,
        id=_text(row.get(identifier)),
        name=_text(name),
        organization_id=_text(row.get("org_id") or row.get("organization_id")),
        team_id=_text(row.get("team_id")),
        user_id=_text(row.get("user_id")),
        max_budget_usd=_text(budget.get("max_budget")),
        spend_usd=_text(row.get("spend")),
        reset_at=_text(budget.get("budget_reset_at")),
    )


def _pages(proxy: LiteLLM, path: str, part: str, **parameters: object) -> Iterator[Any]:
    page, last = 1, 1
    while page <= last:
        answer = proxy.get(path, page=page, **parameters)
        rows = answer.get(part) or []
        yield from rows
        last = int(answer.get("total_pages") or -(-int(answer.get("total") or 0) // _PAGE)) if rows else 0
        page += 1


def _prices(proxy: LiteLLM) -> Iterator[tuple[str, Mapping[str, str]]]:
    """``provider/model`` -> its prices per unit, of deployments that have any."""
    for row in proxy.get("/model/info").get("data") or []:
        given, info = row.get("litellm_params") or {}, row.get("model_info") or {}
        model = _text(given.get("model"))
        said = {**info, **{name: value for name, value in given.items() if value is not None}}
        prices = {name: str(value) for name, value in said.items() if _PRICES in name and _is_price(value)}
        if model and any(float(price) > 0 for price in prices.values()):
            yield model, prices


def _is_price(value: object) -> bool:
    try:
        return not isinstance(value, bool) and float(str(value)) >= 0
    except ValueError:
        return False


def _text(value: object) -> str:
    return "" if value is None else str(value)
