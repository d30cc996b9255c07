"""Tokens times rates, for all calls at once and exact to the last digit.

`with_rates` finds each call's line on its card; `with_local_price` multiplies. The products are exact (24 digits after
the point). Rounding to the ledger's 12 digits, half to even, happens on the running total: each part is the rounded
total up to it less the one before, so parts add up to the rounded total exactly, and a part of nothing stays zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final

import polars as pl

from processors.contract import MOMENT, MONEY
from processors.prices.card import MOST_TOKENS, Line
from processors.prices.rates import PRICE, RATE_NAMES
from processors.prices.windows import is_off_peak

_TOKENS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "read": "cache_read_tokens",
    "write": "cache_write_tokens",
    "write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_in": "audio_input_tokens",
    "audio_out": "audio_output_tokens",
    "image": "image_tokens",
}
#: Operations whose image tokens are the answer; elsewhere they are part of the question.
_MAKES_IMAGES: Final = ("image_generation", "image_edit", "generate_image")
#: Operations that answer with something else than tokens.
_ANSWERS_NO_TOKENS: Final = ("embeddings", "embedding", "rerank", "moderation", "search", "transcription")
_MILLENNIUM: Final = 10**12  # milliseconds: longer than any call
#: Beyond these a price is taken as unknown; with them no sum overflows.
_LARGEST: Final = {"per_call": 10**6, "margin_per_call": 10**6, "per_second": 10**3}
_LARGEST_PER_TOKEN: Final = 10
_DIGITS: Final = Decimal(1).scaleb(-24)
_EXACT: Final = Context(prec=60)
_LATEST: Final = 2**61  # milliseconds: a call nobody dated is priced by the newest prices


def with_rates(calls: pl.DataFrame, cards: Mapping[int, Sequence[Line]]) -> pl.DataFrame:
    """``calls`` with the columns of the line that applies: ``~<rate>``, ``~entry``, ``~version`` ...

    Args:
        calls: with ``@card`` (which card), ``@moment`` (when the call began), ``@billed`` (when it ended).
        cards: card number to its lines.
    """
    lines, windows = _frame(cards)
    rows = calls.select(
        pl.int_range(pl.len()).alias("@row"),
        "@card",
        pl.col("@moment").dt.timestamp("ms").fill_null(_LATEST).alias("@at"),
        "@billed",
        _tokens("input").fill_null(0).clip(0, MOST_TOKENS).alias("@size"),
    )
    applies = (
        pl.col("@size").is_between(pl.col("~above"), pl.col("~up_to"), closed="right")
        & (pl.col("@at") >= pl.col("~since"))
        & (pl.col("@at") < pl.col("~until"))
        & _at_this_hour(windows)
    )
    chosen = rows.join(lines, on="@card").filter(applies).drop("@card", "@at", "@billed", "@size")
    return (
        calls.with_row_index("@row")
        .with_columns(pl.col("@row").cast(pl.Int64))
        .join(chosen, on="@row", how="left", maintain_order="left")
    )


def _frame(cards: Mapping[int, Sequence[Line]]) -> tuple[pl.DataFrame, list[Mapping[str, Any]]]:
    """All lines as a frame, and the off-peak windows they point to."""
    flat = [(number, line) for number, lines in cards.items() for line in lines]
    windows: list[Mapping[str, Any]] = []
    columns: dict[str, pl.Series] = {
        "@card": pl.Series([number for number, _ in flat], dtype=pl.UInt32),
        "~above": pl.Series([line.above for _, line in flat], dtype=pl.Int64),
        "~up_to": pl.Series([line.up_to for _, line in flat], dtype=pl.Int64),
        "~since": pl.Series([_milliseconds(line.since, -(2**62)) for _, line in flat], dtype=pl.Int64),
        "~until": pl.Series([_milliseconds(line.until, 2**62) for _, line in flat], dtype=pl.Int64),
        "~window": pl.Series([_position(windows, line.window) for _, line in flat], dtype=pl.Int32),
        "~off_peak": pl.Series([line.off_peak for _, line in flat], dtype=pl.Boolean),
        "~entry": pl.Series([line.entry for _, line in flat], dtype=pl.String),
        "~version": pl.Series([line.version for _, line in flat], dtype=pl.String),
        "~by_size": pl.Series([line.by_size for _, line in flat], dtype=pl.Boolean),
    }
    for name in ("discount", "margin", "margin_per_call"):
        columns[f"~{name}"] = _prices(name, [getattr(line, name) for _, line in flat])
    for name in RATE_NAMES:
        columns[f"~{name}"] = _prices(name, [getattr(line.rates, name) for _, line in flat])
    return pl.DataFrame(columns), windows


def _prices(name: str, values: Sequence[Decimal | None]) -> pl.Series:
    """Exact prices; one beyond any sense is unknown."""
    largest = _LARGEST.get(name, _LARGEST_PER_TOKEN)
    sane = [None if value is None or abs(value) > largest else value for value in values]
    return pl.Series([value and value.quantize(_DIGITS, context=_EXACT) for value in sane], dtype=PRICE)


def _milliseconds(moment: datetime | None, unbounded: int) -> int:
    return unbounded if moment is None else int(moment.timestamp() * 1000)


def _position(windows: list[Mapping[str, Any]], window: Mapping[str, Any] | None) -> int | None:
    if window is None:
        return None
    if window not in windows:
        windows.append(window)
    return windows.index(window)


def _at_this_hour(windows: Sequence[Mapping[str, Any]]) -> pl.Expr:
    inside = pl.lit(False)
    for position, window in enumerate(windows):
        here = pl.col("~window") == position
        inside = pl.when(here).then(is_off_peak(window, pl.col("@billed"))).otherwise(inside)
    inside = inside.fill_null(False)
    return pl.col("~off_peak").is_null() | (pl.col("~off_peak") == inside)


def _tokens(name: str) -> pl.Expr:
    """A token count as a signed number; more than any call has is unknown."""
    count = pl.col(_TOKENS[name]).cast(pl.UInt64, strict=False)
    return pl.when(count <= MOST_TOKENS).then(count).cast(pl.Int64)


def with_local_price(calls: pl.DataFrame) -> pl.DataFrame:
    """``calls`` with what the price book says: ``@input``, ``@cache``, ``@output``, ``@other``, ``@discount``,
    ``@margin``, ``@gross`` and ``@local`` (after discount and margin), all null when something that counts is unknown;
    and ``@in``, ``@out``, the tokens as far as known.
    """
    calls = calls.with_columns(_tokens(name).alias(f"@t_{name}") for name in _TOKENS)
    calls = calls.with_columns(*_known())
    calls = calls.with_columns(*_classes())
    sums = {
        "@input": _product("text", "input") + _product("audio_in", "audio_input") + _product("image_in", "image_input"),
        "@cache": _product("read", "cache_read") + _product("write_5m", "cache_write")
        + _product("write_1h", "cache_write_1h"),
        "@output": _product("answer", "output") + _product("reasoning", "reasoning")
        + _product("audio_out", "audio_output") + _product("image_out", "image_output"),
        "@other": _product("paid_in", "surcharge") + _fill(pl.col("~per_call")) + _by_time(),
    }  # fmt: skip
    calls = calls.with_columns(part.alias(name) for name, part in sums.items())
    return _rounded(calls)


def _known() -> list[pl.Expr]:
    """``@in`` and ``@out``: null when unknown. 0 in and 0 out is what a stream without usage says: unknown."""
    some = (pl.col("@t_input").fill_null(0) > 0) | (pl.col("@t_output").fill_null(0) > 0)
    silent = pl.col("operation").is_in(_ANSWERS_NO_TOKENS)
    answered = pl.when(silent).then(pl.col("@t_output").fill_null(0)).otherwise(pl.col("@t_output"))
    return [pl.when(some).then("@t_input").alias("@in"), pl.when(some).then(answered).alias("@out")]


def _classes() -> list[pl.Expr]:
    """Disjoint classes of the inclusive counts. What the cache served is not billed again as sound or picture."""

    def said(name: str) -> pl.Expr:
        return pl.col(f"@t_{name}").fill_null(0)

    free_in, free_out = pl.col("~input") == 0, pl.col("~output") == 0
    paid_in = pl.when(free_in).then(pl.col("@in").fill_null(0)).otherwise("@in")
    paid_out = pl.when(free_out).then(pl.col("@out").fill_null(0)).otherwise("@out")
    makes = pl.col("operation").is_in(_MAKES_IMAGES)
    read, write = said("read"), pl.max_horizontal(said("write"), said("write_1h"))
    budget = (paid_in - read - write).clip(0)
    image = pl.when(makes).then(0).otherwise(said("image"))
    cached = read + write > 0
    audio_in = pl.when(cached).then(pl.min_horizontal(said("audio_in"), budget)).otherwise(said("audio_in"))
    image_in = pl.when(cached).then(pl.min_horizontal(image, budget - audio_in)).otherwise(image)
    image_out = pl.when(makes).then(pl.coalesce("@t_image", paid_out)).otherwise(0)
    answer = (paid_out - said("reasoning") - said("audio_out") - image_out).clip(0)
    return [
        paid_in.alias("@c_paid_in"),
        (budget - audio_in - image_in).clip(0).alias("@c_text"),
        read.alias("@c_read"),
        (write - said("write_1h")).alias("@c_write_5m"),
        said("write_1h").alias("@c_write_1h"),
        audio_in.alias("@c_audio_in"),
        image_in.alias("@c_image_in"),
        answer.alias("@c_answer"),
        said("reasoning").alias("@c_reasoning"),
        said("audio_out").alias("@c_audio_out"),
        image_out.alias("@c_image_out"),
    ]


def _product(tokens: str, rate: str) -> pl.Expr:
    """Exact cost of a class: no tokens cost nothing whatever their price; tokens of unknown price are unknown."""
    count = pl.col(f"@c_{tokens}")
    nothing = pl.lit(Decimal(0), PRICE)
    return pl.when(count == 0).then(nothing).otherwise((count * pl.col(f"~{rate}")).cast(PRICE))


def _by_time() -> pl.Expr:
    rate = pl.col("~per_second")
    milliseconds = pl.col("duration_ms").cast(pl.Float64, strict=False)
    lasted = pl.when(milliseconds.is_between(0, _MILLENNIUM)).then(milliseconds).cast(pl.Decimal(38, 9), strict=False)
    per_millisecond = rate * pl.lit(Decimal("0.001"), PRICE)
    return pl.when(rate > 0).then((lasted * per_millisecond).cast(PRICE)).otherwise(pl.lit(Decimal(0), PRICE))


def _fill(price: pl.Expr) -> pl.Expr:
    return price.fill_null(pl.lit(Decimal(0), PRICE))


def _rounded(calls: pl.DataFrame) -> pl.DataFrame:
    """Parts to twelve digits so that they add up; see the module's words."""
    calls = calls.with_columns((pl.col("@input") + pl.col("@cache") + pl.col("@output") + pl.col("@other")).alias("@g"))
    off = _fill(pl.col("@g") * pl.col("~discount"))
    calls = calls.with_columns(off.alias("@off"))
    net = pl.col("@g") - pl.col("@off")
    added = _fill(net * pl.col("~margin")) + _fill(pl.col("~margin_per_call"))
    i, c, o = pl.col("@input"), pl.col("@cache"), pl.col("@output")
    steps = [step.cast(MONEY) for step in (i, i + c, i + c + o, pl.col("@g"), net, net + added)]
    calls = calls.with_columns(step.alias(f"@step{n}") for n, step in enumerate(steps))
    first, second, third, gross, discounted, final = (
        pl.when(pl.col("@g").is_not_null()).then(pl.col(f"@step{n}")) for n in range(6)
    )
    return calls.with_columns(
        first.alias("@input"),
        (second - first).alias("@cache"),
        (third - second).alias("@output"),
        (gross - third).alias("@other"),
        (gross - discounted).alias("@discount"),
        (final - discounted).alias("@margin"),
        gross.alias("@gross"),
        final.alias("@local"),
    ).drop("@g", "@off", *(f"@step{n}" for n in range(6)))


def moments(calls: pl.DataFrame) -> pl.DataFrame:
    """``calls`` with ``@moment`` (start, which picks the price list) and ``@billed`` (end, which picks the hour)."""
    started = pl.col("started_at").cast(MOMENT)
    return calls.with_columns(
        started.alias("@moment"), pl.coalesce(pl.col("ended_at").cast(MOMENT), started).alias("@billed")
    )
