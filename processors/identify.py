"""`identify`: the keys under which an observation's call is known, best first (DESIGN 5, identity).

1. A gateway cache hit is its own call: the gateway's call id.
2. The provider's response id, unwrapped, when it looks unique (at least 64 bits of apparent entropy).
3. The gateway's call id or the client's request id.
4. The span, or the log record: the span a record was written in need not be its call's, an agent's for instance.

Two observations that share a key are one call; `post` decides what else belongs together.
"""

from __future__ import annotations

from string import ascii_letters, digits
from typing import ClassVar, Final

import polars as pl

from processors.batch import Batch
from processors.contract import TEXTS

MIN_ENTROPY_BITS: Final = 64
#: Long, but starting with one character eight times: a placeholder.
_MONOTONOUS: Final = "^(?:" + "|".join(f"{character}{{8}}" for character in ascii_letters + digits) + ")"
#: ``response_id:`` and the printable ASCII up to the next ``;``, in hexadecimal.
_WRAPPED: Final = r"^(?:[0-9a-f]{2})*?" + b"response_id:".hex() + r"((?:[24567][0-9a-e]|[2456][0-9a-f]|3[0-9ac-f])+)"


class Identify:
    """Fills `observations.keys`."""

    reads: ClassVar[frozenset[str]] = frozenset({"observations.*"})
    writes: ClassVar[frozenset[str]] = frozenset({"observations.keys"})

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its observations' keys."""
        return batch.with_frames(observations=with_keys(batch.observations))


def with_keys(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with `keys`, best first; depends on nothing but each row."""
    response = unwrapped(pl.col("response_id"))
    is_log = pl.col("observation_id").str.starts_with("log/")
    own = pl.when(is_log).then("observation_id").otherwise("span:" + pl.col("observation_id"))
    hit = pl.col("cache_hit").fill_null(False)
    named = (
        pl.when(hit & (pl.col("call_id") != ""))
        .then("cache:" + pl.col("call_id"))
        .when(~hit & is_unique(response))
        .then("id:" + response)
        .when(~hit & (pl.col("call_id") != ""))
        .then("id:" + pl.col("call_id"))
    )
    keys = pl.concat_list(named, pl.when(~is_log | named.is_null()).then(own)).list.drop_nulls()
    return observations.with_columns(keys=keys.cast(TEXTS))


def unwrapped(response_id: pl.Expr) -> pl.Expr:
    """The provider's id inside the Responses-API id LiteLLM hands out (base64 of ``...;response_id:<id>``).

    Works on hexadecimal text: what base64 decodes to need not be text at all.
    """
    body = response_id.str.extract(r"^resp_([A-Za-z0-9+/]+=*)$", 1)
    missing = body.str.len_bytes() % 4
    padding = pl.when(missing == 2).then(pl.lit("==")).when(missing == 3).then(pl.lit("=")).otherwise(pl.lit(""))
    inside = (body + padding).str.decode("base64", strict=False).bin.encode("hex").str.extract(_WRAPPED, 1)
    return pl.coalesce(inside.str.decode("hex", strict=False).cast(pl.String, strict=False), response_id)


def is_unique(identifier: pl.Expr) -> pl.Expr:
    """Whether an id has enough apparent entropy to name one call in the world.

    Ollama sends ``chatcmpl-<0..998>``; a mock may send ``chatcmpl-123``. Bits: characters of what follows the prefix
    times log2 of the alphabet they seem to come from (digits 3.3, hex 4, alphanumeric 5.9).
    """
    body = identifier.str.replace(r"^[A-Za-z]{2,12}[-_]", "").str.replace_all(r"[^A-Za-z0-9]", "")
    bits = (
        pl.when(body.str.contains(r"^[0-9]*$"))
        .then(3.3)
        .when(body.str.contains(r"^[0-9a-fA-F]*$"))
        .then(4.0)
        .otherwise(5.9)
    )
    return ((body.str.len_bytes() * bits >= MIN_ENTROPY_BITS) & ~body.str.contains(_MONOTONOUS)).fill_null(False)
