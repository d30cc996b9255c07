"""Where prices come from: LiteLLM's table, read from its installed package, and the user's own.

LiteLLM itself is never imported: that takes seconds, and its table is one JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import yaml

from otel_exporter.imports import prices as imported
from processors.price import PriceBook
from processors.prices import written
from processors.prices.terms import Charge, Policy

TABLE_FILE: Final = "model_prices_and_context_window_backup.json"


class NoPriceTable(Exception):
    """The price table cannot be read; the sentence says which file and why."""


def litellm_table(file: Path | None = None) -> tuple[dict[str, Any], str]:
    """The price table and what `price_version` says of it.

    Args:
        file: a table in LiteLLM's format; None is the one of the installed package.

    Raises:
        NoPriceTable: there is none, or it is no such table.
    """
    path = file or _installed()
    try:
        table = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as fault:
        raise NoPriceTable(f"price table {path} cannot be read: {fault}") from fault
    if not isinstance(table, dict):
        raise NoPriceTable(f"price table {path} is not a JSON object of models")
    return table, file.name if file else f"litellm-{_litellm_version()}"


def price_book(
    *,
    charge: str = Charge.REPORTED,
    believe_zero: bool = False,
    overrides: Sequence[Mapping[str, Any]] = (),
    discounts: Sequence[Mapping[str, Any]] = (),
    margins: Sequence[Mapping[str, Any]] = (),
    file: Path | None = None,
    data_dir: Path | None = None,
) -> PriceBook:
    """The price book that the configuration describes (section ``prices``, `docs/prices.md`).

    With ``data_dir`` also the prices imported into it, of models that neither the table nor ``overrides`` name.

    Raises:
        NoPriceTable: no table to price by.
        processors.prices.written.BadTerms: the user's own prices cannot be read; says every fault.
    """
    policy = Policy(
        charge=Charge(charge),
        believe_zero=believe_zero,
        discounts=written.discounts(discounts),
        margins=written.margins(margins),
    )
    own = written.overrides(overrides)
    table, version_said = litellm_table(file)
    if data_dir is not None:
        named = {model for override in own for model in override.scope.models}
        own += written.overrides(imported.overrides(data_dir, table.keys() | named), path=("imported",))
    return PriceBook(table, version=version_said, overrides=own, policy=policy)


def read_terms(file: Path) -> dict[str, Any]:
    """A YAML file of its own with what section ``prices`` may hold: the arguments of `price_book`.

    Raises:
        NoPriceTable: it cannot be read, or is no mapping.
    """
    try:
        terms = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as fault:
        raise NoPriceTable(f"prices {file} cannot be read: {fault}") from fault
    if not isinstance(terms, dict):
        raise NoPriceTable(f"prices {file} is not a mapping")
    return terms


def _installed() -> Path:
    spec = find_spec("litellm")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise NoPriceTable("LiteLLM is not installed, so there is no price table; name one in prices.file")
    return Path(places[0]) / TABLE_FILE


def _litellm_version() -> str:
    try:
        return version("litellm")
    except PackageNotFoundError:
        return "unknown"
