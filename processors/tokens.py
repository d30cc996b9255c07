"""Token conventions: whatever the emitter meant, `input_tokens` includes cached tokens and unknown is not zero.

An emitter is believed about what its input tokens include unless its own numbers prove otherwise: cached tokens cannot
exceed an input that includes them; a total equals input plus output. When the evidence disagrees with the convention
the row says so.
"""

from __future__ import annotations

from typing import Final

import polars as pl

_COUNTS: Final = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_tokens",
)  # fmt: skip
#: Operations whose usage is tokens; images, speech and searches have other units.
COUNTED: Final = ("chat", "completion", "text_completion", "responses", "embeddings", "generate_content")
_INPUT, _OUTPUT, _TOTAL = pl.col("input_tokens"), pl.col("output_tokens"), pl.col("total_tokens")
_CACHED: Final = pl.col("cache_read_tokens").fill_null(0) + pl.col("cache_write_tokens").fill_null(0)


def settle_tokens(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with inclusive counts; needs the column ``@input_includes_cached`` (what the dialect claims)."""
    known = observations.with_columns(_known()).with_columns(_issue("tokens_unknown", _nothing_said()))
    resolved = known.with_columns(_includes().alias("input_includes_cached"))
    disagrees = pl.col("@input_includes_cached") != pl.col("input_includes_cached")
    return (
        resolved.with_columns(_issue("cache_convention_contradicted", disagrees & (_CACHED > 0)))
        .with_columns(
            input_tokens=pl.when(~pl.col("input_includes_cached")).then(_INPUT + _CACHED).otherwise(_INPUT),
            output_tokens=pl.when(_reasoning_apart())
            .then(_OUTPUT + pl.col("reasoning_tokens"))
            .otherwise(pl.coalesce(_OUTPUT, _no_output())),
        )
        .with_columns(_issue("tokens_disagree", _total_disagrees()))
    )


def _known() -> list[pl.Expr]:
    """0 in and 0 out is what libraries send when a stream carried no usage: unknown."""
    nothing = (_INPUT.fill_null(0) == 0) & (_OUTPUT.fill_null(0) == 0) & (_CACHED == 0)
    return [pl.when(~nothing).then(pl.col(name)).alias(name) for name in (*_COUNTS, "total_tokens")]


def _no_output() -> pl.Expr:
    """Embeddings put out no tokens, so few producers say so."""
    return pl.when((pl.col("operation") == "embeddings") & (_INPUT > 0)).then(pl.lit(0, pl.UInt64))


def _nothing_said() -> pl.Expr:
    asks_for_text = pl.col("operation").is_in(COUNTED).fill_null(True)
    answered = (pl.col("status") == "ok") & (pl.col("role") == "call")
    return _INPUT.is_null() & _OUTPUT.is_null() & answered & asks_for_text


def _includes() -> pl.Expr:
    """Does input include cached tokens? Proof first, then the dialect's word, then the total, then the usual: yes."""
    told = pl.col("@input_includes_cached")
    by_total = (
        pl.when(_TOTAL.eq(_INPUT + _OUTPUT.fill_null(0)))
        .then(True)
        .when(_TOTAL.eq(_INPUT + _CACHED + _OUTPUT.fill_null(0)))
        .then(False)
    )
    return (
        pl.when(_INPUT.is_null())
        .then(None)
        .when(_CACHED == 0)
        .then(told.fill_null(True))
        .when(_CACHED > _INPUT)
        .then(False)
        .otherwise(pl.coalesce(told, by_total, pl.lit(True)))
    )


def _reasoning_apart() -> pl.Expr:
    """Reasoning reported beside output (Gemini): more than it, or the total says so."""
    reasoning = pl.col("reasoning_tokens")
    return (reasoning > _OUTPUT).fill_null(False) | (
        (reasoning > 0) & _TOTAL.eq(_INPUT + _OUTPUT + reasoning) & _TOTAL.ne(_INPUT + _OUTPUT)
    ).fill_null(False)


def _total_disagrees() -> pl.Expr:
    """Some totals include cached tokens, some do not; both are right."""
    expected = _INPUT + _OUTPUT.fill_null(0)
    without_cached = pl.when(expected >= _CACHED).then(expected - _CACHED)
    return (_TOTAL.ne(expected) & _TOTAL.ne(without_cached).fill_null(True)).fill_null(False)


def _issue(name: str, condition: pl.Expr) -> pl.Expr:
    """Add an issue to the rows where the condition holds."""
    return (
        pl.when(condition.fill_null(False) & ~pl.col("issues").list.contains(name))
        .then(pl.concat_list("issues", pl.lit([name], pl.List(pl.String))))
        .otherwise("issues")
        .alias("issues")
    )
