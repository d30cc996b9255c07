"""`tokentide advise` and `tokentide what-if`: what a change would have cost or saved, on what really happened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, render

if TYPE_CHECKING:
    import polars as pl

    from otel_exporter.advice.advise import Change
    from otel_exporter.advice.budgets import Budget
    from otel_exporter.advice.finding import Finding
    from otel_exporter.advice.history import History
    from otel_exporter.config import Settings
    from processors.post import Price

Since = Annotated[str, typer.Option(help="How far back: 90m, 12h, 30d, 4w, or a date.")]
Until = Annotated[str, typer.Option(help="Calls that started before: a date or time.  [default: now]")]


def advise(
    since: Since = "30d",
    until: Until = "",
    most: Annotated[int, typer.Option("--most", min=1, help="How many pieces of advice.")] = 10,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show what would have been cheaper: other models, prompt caching, batches, fewer retries, other fallbacks.

    Each line is computed call by call at today's prices, and says what it assumes.
    """
    from otel_exporter.advice.advise import advise as every

    settings = settings_for(config, data_dir, clickhouse_url)
    with _history(settings, since, until) as history:
        found = sorted(every(history, _price(settings)), key=lambda one: -one.saved_usd)[:most]
    _show(found, form, otherwise="nothing would have been cheaper, as far as can be known\n")


def what_if(  # noqa: PLR0913, PLR0917 - options of a command
    model: Annotated[list[str] | None, typer.Option("--model", help="a=b: b answers instead of a.")] = None,
    fallback: Annotated[list[str] | None, typer.Option("--fallback", help="a=b: when a fails, b stands in.")] = None,
    retries: Annotated[int | None, typer.Option("--retries", min=0, help="So many retries at most.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option("--budget", help="team=40/day, or team:search=40/day: who would be refused.")
    ] = None,
    since: Since = "30d",
    until: Until = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show what a change would have cost or saved, and the LiteLLM configuration that makes it.

    A model is named as the ledger names it, or provider/model when it was never called.
    """
    from otel_exporter.advice import budgets
    from otel_exporter.advice.advise import over

    limits = [budgets.parse(text) for text in budget or []]
    pairs = (_pairs("--model", model), _pairs("--fallback", fallback))
    if not (any(pairs) or limits) and retries is None:
        raise typer.BadParameter("say what: --model, --fallback, --retries or --budget")
    settings = settings_for(config, data_dir, clickhouse_url)
    with _history(settings, since, until) as history:
        if found := over(history, _changes(history, _price(settings), *pairs, retries)):
            _show(found, form, configs=True)
        for limit, said in zip(limits, budget or [], strict=True):
            _budget(history, limit, said, settings, form)


def _changes(
    history: History, price: Price, swaps: list[tuple[str, str]], fallbacks: list[tuple[str, str]], retries: int | None
) -> list[Change]:
    from otel_exporter.advice import changes

    names = history.names() if swaps or fallbacks else None
    asked: list[Change] = []
    for change, pairs in ((changes.swap, swaps), (changes.fallback, fallbacks)):
        for old, new in pairs:
            provider, other = _named(names, old, new)
            asked.append(partial(_instead, change, price, old, provider, other))
    if retries is not None:
        asked.append(partial(changes.retries, most=retries))
    return asked


def _instead(
    change: Callable[[pl.DataFrame, Price, str, str, str], Finding],
    price: Price,
    old: str,
    provider: str,
    other: str,
    calls: pl.DataFrame,
) -> Finding:
    return change(calls, price, old, provider, other)


@contextmanager
def _history(settings: Settings, since: str, until: str) -> Iterator[History]:
    from otel_exporter import report
    from otel_exporter.advice.history import History
    from otel_exporter.asking import asking

    now = datetime.now(UTC)
    with asking(settings) as ask:
        yield History(ask, report.since(since, now), report.since(until, now) if until else now)


def _price(settings: Settings) -> Price:
    from otel_exporter.assembly import price_book

    return price_book(settings).price


def _pairs(option: str, said: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in said or []:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise typer.BadParameter(f"{text!r} is not a=b", param_hint=option)
        pairs.append((old, new))
    return pairs


def _named(names: pl.DataFrame | None, old: str, new: str) -> tuple[str, str]:
    """Provider and model of ``new``: as it was called, as it is written (provider/model), or at ``old``'s provider."""
    import polars as pl

    for name, sure in ((new, True), (old, "/" not in new)):
        seen = None if names is None else names.filter((pl.col("model") == name) | (pl.col("requested_model") == name))
        if sure and seen is not None and seen.height:
            counted = seen.group_by("provider").agg(pl.col("calls").sum())
            provider = counted.sort("calls", "provider", descending=[True, False])["provider"][0]
            return provider, seen.filter(pl.col("provider") == provider)["model"][0] if name == new else new
    provider, slash, model = new.partition("/")
    return (provider, model) if slash else ("", new)


def _show(found: list[Finding], form: Format, *, configs: bool = False, otherwise: str = "") -> None:
    from otel_exporter.advice.finding import table

    if form is not Format.TABLE:
        render(table(found, brief=False), form)
    elif not found:
        sys.stdout.write(otherwise)
    else:
        render(table(found, brief=True), form)
        for text in dict.fromkeys(one.config for one in found if configs and one.config):
            sys.stdout.write(f"\n{text}")


def _budget(history: History, budget: Budget, said: str, settings: Settings, form: Format) -> None:
    from otel_exporter.advice import budgets, litellm

    answer = budgets.table(history, budget, settings.books.timezone)
    if form is not Format.TABLE or answer.rows:
        render(answer, form)
    else:
        sys.stdout.write(f"nothing would have been refused by {said}\n")
    if form is Format.TABLE and budget.axis == "team":
        sys.stdout.write(f"\n{litellm.budget(budget.value or '', budget.limit_usd, budget.period)}")
