"""`tokentide explain`: one call, from what was observed to every number it ever had."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, Table, plain, render, safe, write_json

if TYPE_CHECKING:
    from otel_exporter.explain import Explanation, Posting


def explain(
    call: Annotated[str, typer.Argument(metavar="CALL_KEY", help="A call_key; a trace id or response id lists calls.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Explain one call: who said what, why it is one call, what it costs and why, and every posting.

    A trace id or response id that only one call has explains that call.
    """
    from otel_exporter import explain as explaining
    from otel_exporter.asking import asking
    from otel_exporter.pricebook import price_book

    settings = settings_for(config, data_dir, clickhouse_url)
    with asking(settings) as ask:
        found = explaining.named(ask, call)
        if len(found.rows) > 1:
            render(found, form)
            return
        tenant, call_key = found.rows[0][:2]
        explanation = explaining.explain(
            ask, tenant, call_key, price_book(**dict(settings.prices), data_dir=settings.store.data_dir)
        )
    if form is Format.JSON:
        write_json([_exact(_record(explanation))], sys.stdout)
    elif form is Format.CSV:
        render(Table.of(_lines(explanation)), form)
    else:
        _show(explanation)


def _record(explanation: Explanation) -> dict[str, Any]:
    call = explanation.call
    return {
        "call_key": call["call_key"],
        "tenant": call["tenant"],
        "call": call,
        "observations": [asdict(witness) for witness in explanation.witnesses],
        "merged_by": call["merged_by"],
        "price": {**asdict(explanation.price), "line": str(explanation.price)},
        "postings": [asdict(posting) for posting in explanation.postings],
    }


def _exact(value: Any) -> Any:
    """Decimals without trailing zeros, however deep: ClickHouse and Polars write them differently."""
    if isinstance(value, Mapping):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(inner) for inner in value]
    return _text(value) if isinstance(value, Decimal) else value


def _lines(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """The same for spreadsheets: one row per fact."""
    for name, value in explanation.call.items():
        yield {"section": "call", "name": name, "value": value}
    for witness in explanation.witnesses:
        for name, value in witness.said.items():
            yield {"section": "said", "name": name, "value": value, "by": witness.source, "of": witness.observation_id}
        yield {"section": "joined", "value": witness.joined_by, "by": witness.source, "of": witness.observation_id}
    yield {"section": "price", "value": str(explanation.price)}
    for posting in explanation.postings:
        yield {"section": "posting", **_posting(posting)}


def _show(explanation: Explanation) -> None:
    call, price = explanation.call, explanation.price
    out = sys.stdout
    out.write(f"{safe(call['call_key'])}\n{safe(_headline(call))}\n\n")
    render(_who_said_what(explanation), Format.TABLE)
    out.write("\n")
    render(_why_one(explanation), Format.TABLE)
    out.write(f"\nPrice\n{safe(str(price))}\n")
    if price.cost_usd != call["cost_usd"]:
        out.write(f"These are today's prices; posted is {_usd(call['cost_usd'])}: tokentide reprice would change it.\n")
    out.write("\n")
    render(Table.of(map(_posting, explanation.postings), "Postings, oldest first"), Format.TABLE)


def _headline(call: Mapping[str, Any]) -> str:
    """The call in one line."""
    facts = (
        plain(call["started_at"]),
        call["provider"],
        call["model"],
        call["operation"],
        call["status"],
        f"team {call['team']}" if call["team"] else "",
        f"application {call['application']}" if call["application"] else "",
        f"{_count(call['input_tokens'])} in, {_count(call['output_tokens'])} out",
        _usd(call["cost_usd"]),
        *call["issues"],
    )
    return "  ".join(fact for fact in facts if fact)


def _who_said_what(explanation: Explanation) -> Table:
    """Each field with each value that was said for it; `*` marks what the ledger took."""
    said: dict[tuple[str, str], list[str]] = {}
    for witness in explanation.witnesses:
        for name, value in witness.said.items():
            said.setdefault((name, _text(value)), []).append(witness.source)
    order = list(explanation.call)
    rows = [
        [name, value, "*" if _text(explanation.call[name]) == value else "", ", ".join(sources)]
        for (name, value), sources in sorted(said.items(), key=lambda item: order.index(item[0][0]))
    ]
    return Table(("field", "value", "taken", "said by"), rows, title="Who said what")


def _why_one(explanation: Explanation) -> Table:
    rows = [[one.source, one.observation_id, one.joined_by] for one in explanation.witnesses]
    why = explanation.call["merged_by"] or "seen once"
    return Table(("source", "observation", "because"), rows, title=f"Why it is one call: {why}")


def _posting(posting: Posting) -> dict[str, Any]:
    changes = (f"{name}: {_text(old)} -> {_text(new)}" for name, (old, new) in posting.changed.items())
    return {
        "posted_at": posting.posted_at,
        "sign": posting.sign,
        "cost_usd": posting.cost_usd,
        "price_version": posting.price_version,
        "version": posting.version,
        "call_key": posting.call_key,
        "changed": "; ".join(changes),
    }


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return "NULL" if value is None else value
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return ", ".join(value) if isinstance(value, list) else str(plain(value))


def _count(tokens: int | None) -> str:
    return "unknown" if tokens is None else str(tokens)


def _usd(cost: Decimal | None) -> str:
    return "unknown cost" if cost is None else f"${_text(cost)}"
