"""Cut the texts about failures of LLM calls down to known phrases: they quote what was sent and answered.

A failure text (exception message, status message, body of an exception log) may quote when its record belongs to an
LLM call, or when the failure itself names an LLM library: the same exception is recorded again by every span above.
"""

from __future__ import annotations

import polars as pl

from processors import content_names as names
from processors.batch import Batch, Signal
from processors.error_texts import known_phrases
from processors.recognise import ERROR, ERROR_TYPE, STACK, TEXTUAL, Kinds, genai_records
from processors.vocabulary import Vocabulary


def without_quotes(batch: Batch, kinds: Kinds, genai: Vocabulary) -> Batch:
    """The batch with failure texts that may quote cut to known phrases, and their stack traces gone."""
    told = _told(batch, kinds)
    statuses = _statuses(batch)
    if told.is_empty() and statuses.is_empty():
        return batch
    calls = batch.records["record"].filter(genai_records(batch, genai))
    quoting = _quoting(pl.concat([told.select("record", "value"), statuses]), calls)
    told = told.filter(pl.col("record").is_in(quoting.implode()))
    return _cut_statuses(_cut_attributes(batch, told, kinds), quoting)


def _told(batch: Batch, kinds: Kinds) -> pl.DataFrame:
    """Attributes that tell of a failure: row, record, key, value."""
    words = [*kinds[ERROR], *kinds[STACK], *kinds[ERROR_TYPE]]
    if not words:
        return pl.DataFrame(schema={"row": pl.UInt32, "record": pl.UInt32, "key": pl.String, "value": pl.String})
    rows = batch.attributes.with_row_index("row").filter(
        pl.col("key").is_in(words), pl.col("type").is_in(TEXTUAL), pl.col("value") != ""
    )
    events = batch.events.select(owner="event", record_of_event="record")
    return rows.join(events, on="owner", how="left", maintain_order="left").select(
        pl.col("row").cast(pl.UInt32),
        pl.when(pl.col("level") == "record")
        .then("owner")
        .when(pl.col("level") == "event")
        .then("record_of_event")
        .alias("record"),
        "key",
        "value",
    )


def _statuses(batch: Batch) -> pl.DataFrame:
    if batch.signal is not Signal.TRACES:
        return pl.DataFrame(schema={"record": pl.UInt32, "value": pl.String})
    return batch.records.select("record", value="status_message").filter(pl.col("value") != "")


def _quoting(texts: pl.DataFrame, calls: pl.Series) -> pl.Series:
    """The records whose failure texts may quote."""
    named = pl.col("value").str.contains(names.GENAI_FAILURES)
    return texts.filter(named | pl.col("record").is_in(calls.implode()))["record"].drop_nulls().unique()


def _cut_attributes(batch: Batch, told: pl.DataFrame, kinds: Kinds) -> Batch:
    texts = told.filter(pl.col("key").is_in(kinds[ERROR]))
    cut = texts.select("row", known=known_phrases(texts["value"]))
    traces = told.filter(pl.col("key").is_in(kinds[STACK]))["row"]
    attributes = (
        batch.attributes.with_row_index("row")
        .join(cut, on="row", how="left", maintain_order="left")
        .filter(~pl.col("row").is_in(traces.implode()))
        .with_columns(value=pl.coalesce("known", "value"))
    )
    return batch.with_frames(attributes=attributes.select(batch.attributes.columns))


def _cut_statuses(batch: Batch, quoting: pl.Series) -> Batch:
    if batch.signal is not Signal.TRACES:
        return batch
    cut = pl.when(pl.col("record").is_in(quoting.implode())).then(
        pl.Series(known_phrases(batch.records["status_message"]))
    )
    return batch.with_frames(records=batch.records.with_columns(status_message=cut.otherwise("status_message")))
