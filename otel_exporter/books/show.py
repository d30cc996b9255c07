"""Statements that were closed: which there are, their rows, and their documents, byte for byte."""

from __future__ import annotations

import base64
from typing import Final

from clickhouse_schema.tables import DERIVED
from otel_exporter.asking import Ask, table
from otel_exporter.books.documents import sha256
from otel_exporter.failures import Reason, Refused
from otel_exporter.render import Table

DOCUMENTS: Final = ("csv", "parquet", "focus")
_LIST: Final = """SELECT period, timezone, starts_at, ends_at, cut_at, unfinished, calls, cost_usd, row_count,
    csv_sha256
FROM genai_closing ORDER BY starts_at"""
_ROWS: Final = f"""SELECT {", ".join(name for name in DERIVED["genai_statement"] if name != "closing_id")}
FROM genai_statement WHERE closing_id = (SELECT closing_id FROM genai_closing WHERE period = {{period:String}})
ORDER BY kind != 'usage', of_period, cost_usd DESC NULLS LAST, tenant, organization, cost_center, team, project,
    provider, model"""


def listed(ask: Ask) -> Table:
    """Every closed period."""
    return table(ask, _LIST, title="Statements")


def rows(ask: Ask, period: str) -> Table:
    """The rows of a statement, the largest first, adjustments last.

    Raises:
        Refused: the period was not closed.
    """
    document(ask, period, "csv")
    return table(ask, _ROWS, {"period": period}, f"Statement of {period}")


def document(ask: Ask, period: str, form: str) -> bytes:
    """One of `DOCUMENTS`, the bytes as they were written when the period was closed.

    Raises:
        Refused: the period was not closed, or what is stored has been altered since.
    """
    columns = f"base64Encode({form}) AS document, {form}_sha256 AS digest"
    sql = f"SELECT {columns} FROM genai_closing WHERE period = {{period:String}}"
    found = table(ask, sql, {"period": period}).rows
    if not found:
        raise Refused(Reason.MALFORMED, f"{period} was not closed: tokentide statement list shows what was")
    text, digest = found[0]
    content = base64.b64decode(text)
    if sha256(content) != digest:
        raise Refused(Reason.STORE, f"the {form} of {period} is not what was written then: SHA-256 differs")
    return content
