"""A statement as a file: CSV, Parquet, FOCUS. Written once, when the period is closed; kept and handed out as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl

from otel_exporter.books import focus

if TYPE_CHECKING:
    from forecasting.periods import Span

#: Not in the files: the same statement computed twice is the same bytes.
_OURS = "closing_id"


def documents(rows: pl.DataFrame, spans: Mapping[str, Span], period: str) -> dict[str, bytes]:
    """Each form of a statement. ``spans``: of ``period`` and of every earlier period that it adjusts."""
    said = rows.drop(_OURS)
    return {
        "csv": said.write_csv(null_value="").encode(),
        "parquet": _parquet(said),
        "focus": focus.frame(said, spans, period).write_csv(null_value="").encode(),
    }


def _parquet(rows: pl.DataFrame) -> bytes:
    file = BytesIO()
    rows.write_parquet(file, compression="zstd")
    return file.getvalue()


def sha256(document: bytes) -> str:
    """What a document is proved by."""
    return hashlib.sha256(document).hexdigest()
