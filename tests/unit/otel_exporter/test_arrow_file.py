"""Arrow files hold what the rows hold."""

from __future__ import annotations

import io
from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from otel_exporter import arrow_file
from processors.contract import MAP

GONE = "a prompt that the content policy removed"
#: Polars compacts by itself when much is removed: here it is little.
TEXTS = pl.DataFrame(
    {"text": [f"{GONE}, at length {n}" if n % 300 == 0 else f"a value that stays {n}" for n in range(3000)]}
)
IS_GONE = TEXTS["text"].str.starts_with(GONE)


def as_maps(rows: pl.DataFrame) -> pl.DataFrame:
    """Five texts a row, in a map, as attributes are."""
    pairs = rows.with_row_index("key").with_columns(row=pl.col("key") // 5, key=pl.col("key").cast(pl.String))
    maps = pairs.group_by("row", maintain_order=True).agg(pl.struct("key", value="text").alias("attributes"))
    return maps.with_columns(pl.col("attributes").cast(MAP))


REMOVALS: dict[str, Callable[[], pl.DataFrame]] = {
    "filtered": lambda: TEXTS.filter(~IS_GONE),
    "replaced": lambda: TEXTS["text"].clone().scatter(IS_GONE.arg_true(), "[REDACTED]").to_frame(),
    "joined": lambda: TEXTS.with_row_index().join(TEXTS.with_row_index().filter(~IS_GONE).select("index"), on="index"),
    "in maps": lambda: as_maps(TEXTS.filter(~IS_GONE)),
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_what_was_removed_is_not_written(removal: str) -> None:
    """A text that no row holds any more is in no byte of the file; the rows read back as they were."""
    rows, file = REMOVALS[removal](), io.BytesIO()
    arrow_file.write(rows, file)
    assert_frame_equal(pl.read_ipc(file.getvalue()), rows)
    columns = pa.ipc.open_file(file.getvalue()).read_all().columns
    content = b"".join(buffer for column in columns for chunk in column.chunks for buffer in chunk.buffers() if buffer)
    assert b"a value that stays" in content
    assert GONE.encode() not in content
