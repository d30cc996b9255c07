"""`refusals`: requests the gateway refused before any provider was called, as rows of `genai_refusals`."""

from __future__ import annotations

from typing import Final

import polars as pl

from processors.batch import Batch, moment
from processors.contract import Role
from processors.dialects.sheet import Sheet
from processors.dialects.words import first
from processors.landing import GENAI_REFUSALS

#: What an error class says of the reason.
_BY_CLASS: Final = {
    "BudgetExceededError": "budget",
    "ProxyRateLimitError": "rate_limit",
    "RateLimitError": "rate_limit",
    "RateLimitUnverifiableError": "rate_limit",
    "RouterRateLimitError": "rate_limit",
    "RouterRateLimitErrorBasic": "rate_limit",
    "GuardrailRaisedException": "guardrail",
    "BlockedPiiEntityError": "guardrail",
    "RejectedRequestError": "guardrail",
    "ProxyModelNotFoundError": "model",
    "ModelAccessDeniedProxyException": "model",
    "AuthenticationError": "authentication",
}
#: What the words of an error say, first match wins. The words themselves are not kept.
_BY_WORDS: Final = {
    "budget": r"(?i)budget|spend limit",
    "rate_limit": r"(?i)rate.?limit|\b[tr]pm\b|parallel requests|too many requests|no deployments? available",
    "guardrail": r"(?i)guardrail|content.?(?:policy|filter)|violat|prompt.?injection|blocked",
    "model": r"(?i)invalid model name|access (?:to )?(?:the )?model|model.{0,40}not allowed|allowed to access model",
    "authentication": r"(?i)authenticat|unauthori[sz]ed|api.?key|token|expired|credential|no connected db",
}
_BY_CODE: Final = {"401": "authentication", "402": "budget", "403": "authentication", "429": "rate_limit"}
_STATUSES: Final = "litellm.guardrail_statuses"  # of our callback, which sends no error's words
_WORDS: Final = Sheet({"error.message", "event:exception:exception.message", _STATUSES})


def refusals(batch: Batch) -> pl.DataFrame:
    """Rows of `genai_refusals`, one for each observation of a refused request.

    ``reason`` is budget, rate_limit, guardrail, model (unknown or not allowed), authentication or other.
    """
    refused = batch.observations.filter(pl.col("role") == Role.REFUSAL.value)
    if refused.is_empty():
        return pl.DataFrame(schema=GENAI_REFUSALS)
    sheet = _WORDS(batch)
    words = sheet.select(
        trace_id="@trace_id",
        span_id="@span_id",
        words=first("error.message", "event:exception:exception.message"),
    )
    worded = refused.join(words.unique(["trace_id", "span_id"]), on=["trace_id", "span_id"], how="left")
    stopped = pl.col(_STATUSES).str.contains("guardrail_intervened", literal=True)
    guarded = sheet.filter(stopped).select(
        trace_id="@trace_id", span_id="@span_id", ended_at=moment(pl.col("@end")), guarded=pl.lit(True)
    )
    known = worded.join(guarded.unique(), on=["trace_id", "span_id", "ended_at"], how="left")
    rows = known.with_columns(observed_at="ended_at", reason=_reason())
    return rows.select(
        pl.col(name).fill_null("") if dtype == pl.String else pl.col(name) for name, dtype in GENAI_REFUSALS.items()
    )


def _reason() -> pl.Expr:
    by_words = [pl.when(pl.col("words").str.contains(words)).then(pl.lit(why)) for why, words in _BY_WORDS.items()]
    guard = pl.when("guarded").then(pl.lit("guardrail"))
    return pl.coalesce(_told("error_type", _BY_CLASS), guard, *by_words, _told("error_code", _BY_CODE), pl.lit("other"))


def _told(column: str, reasons: dict[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(reasons, default=None, return_dtype=pl.String)
