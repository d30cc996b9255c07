"""The spend logs of a LiteLLM proxy, every row of a stretch of time, though the API pages over a moving table.

`/spend/logs/v2` gives at most 1,000 rows a page, in the order of `startTime` alone: rows that started at the same
instant may change places between two pages, and its count ends at 10,000. So time is cut into windows that fit one
page. Bounds are whole seconds and both inclusive: windows share a second, and a row may come twice, which is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, pairwise
from typing import Any, Final

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.litellm_api.client import LiteLLM

PAGE: Final = 1000
_SECOND: Final = timedelta(seconds=1)
_FULL: Final = 0.7  # of a page is what a window should hold, so that most need not be cut again
_MOST_PARTS: Final = 24
_MOST_PASSES: Final = 24

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """Rows that started from ``start`` up to and including ``end``."""

    start: datetime
    end: datetime
    rows: tuple[Row, ...]


def windows(proxy: LiteLLM, start: datetime, end: datetime, page: int = PAGE) -> Iterator[Window]:
    """Windows that cover ``start`` to ``end`` without a gap, oldest first, each with all of its rows.

    Args:
        proxy: whose spend logs.
        start, end: whole seconds.
        page: most rows of one answer.

    Raises:
        Refused, RetryLater: see `LiteLLM.get`.
    """
    answer = _page(proxy, start, end, page, 1)
    total = int(answer.get("total") or 0)
    rows = _rows(answer)
    if total <= page and len(rows) >= min(total, page):
        yield Window(start, end, rows)
    elif end - start <= _SECOND:
        yield Window(start, end, _second(proxy, start, end, page, total))
    else:
        for first, last in _parts(start, end, total, page):
            yield from windows(proxy, first, last, page)


def _parts(start: datetime, end: datetime, total: int, page: int) -> Iterator[tuple[datetime, datetime]]:
    """The stretch in so many equal parts of whole seconds that each should fit a page."""
    seconds = int((end - start).total_seconds())
    count = max(2, min(int(total / (page * _FULL)) + 1, _MOST_PARTS, seconds))
    bounds = [start + timedelta(seconds=seconds * part // count) for part in range(count + 1)]
    yield from pairwise(bounds)


def _second(proxy: LiteLLM, start: datetime, end: datetime, page: int, total: int) -> tuple[Row, ...]:
    """All rows of one second that holds more than a page: read up and down again until none is missing.

    Raises:
        RetryLater: rows keep hiding behind each other.
    """
    found: dict[str, Row] = {}
    for order in islice(cycle(("asc", "desc")), _MOST_PASSES):
        number, rows = 1, None
        while rows is None or len(rows) == page:
            rows = _rows(_page(proxy, start, end, page, number, order))
            found |= {str(row.get("request_id")): row for row in rows}
            number += 1
        if len(found) >= total:
            return tuple(found.values())
    raise RetryLater(
        Reason.OVERLOADED, f"the {total} rows of {start:%Y-%m-%d %H:%M:%S} cannot be told apart, try again"
    )


def _page(proxy: LiteLLM, start: datetime, end: datetime, page: int, number: int, order: str = "asc") -> Any:
    form = "%Y-%m-%d %H:%M:%S"
    answer = proxy.get(
        "/spend/logs/v2",
        start_date=start.astimezone(UTC).strftime(form),
        end_date=end.astimezone(UTC).strftime(form),
        page=number,
        page_size=page,
        sort_by="startTime",
        sort_order=order,
    )
    if not isinstance(answer, Mapping) or not isinstance(answer.get("data"), list):
        raise Refused(
            Reason.MALFORMED, "/spend/logs/v2 does not answer with a page of rows: LiteLLM 1.80 or later does"
        )
    return answer


def _rows(answer: Mapping[str, Any]) -> tuple[Row, ...]:
    return tuple(row for row in answer["data"] if isinstance(row, Mapping))
