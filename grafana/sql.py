"""Pieces of SQL that the dashboards share.

Tables are read under the alias `r` (a rollup) or `e` (ledger entries), so that a result may be called like a column.
Panels that span more than a day read rollups or add up signed entries; only bounded lists read `genai_calls`.
"""

from __future__ import annotations

from typing import Final

#: What every dashboard can be narrowed to. The minute rollup has these too.
FILTERS: Final = ("tenant", "team", "application", "provider", "model")
#: How "nobody said" is shown, and chosen.
UNSAID: Final = "(not said)"
_SECONDS: Final = "(toUInt32($__toTime) - toUInt32($__fromTime))"
#: Beyond this a panel reads hours instead of minutes, days instead of hours.
_MINUTES_UP_TO: Final = 2 * 86400
_HOURS_UP_TO: Final = 8 * 86400

USD: Final = "toFloat64(sum(r.cost_usd))"
#: Calls that succeeded, of a rollup.
OK: Final = "sumIf(r.calls, r.status = 'ok')"
ERRORS: Final = "sumIf(r.calls, r.status = 'error')"
#: An attempt whose result reached the caller; where attempts are not visible, every call is final.
FINAL: Final = "ifNull(r.is_final, true)"


def named(column: str) -> str:
    """A text column with a word for its unknown value."""
    return f"if({column} = '', '{UNSAID}', toString({column}))"


def chosen(alias: str = "r", *columns: str) -> str:
    """What the dashboard's variables narrow a query to; a tenant is always somebody's, so its column stays bare."""
    return "\n  AND ".join(_is_chosen(alias, column) for column in columns or FILTERS)


def _is_chosen(alias: str, column: str) -> str:
    value = f"{alias}.{column}" if column == "tenant" else named(f"{alias}.{column}")
    return f"$__conditionalAll({value} IN (${{{column}:singlequote}}), ${column})"


def within(step: str = "Hour", alias: str = "r") -> str:
    """Buckets of the time range, its first one whole."""
    return f"{alias}.bucket >= toStartOf{step}($__fromTime, 'UTC') AND {alias}.bucket <= $__toTime"


def between(start: str = "$__fromTime", end: str = "$__toTime") -> str:
    """Rows of a rollup, the hour of ``start`` and that of ``end`` whole.

    Of a long time whole UTC days come from the day rollup, hours from its two ends: the same sums from far fewer rows.
    """
    long = f"(toUInt32({end}) - toUInt32({start})) > {_HOURS_UP_TO}"
    whole = (
        f"r.bucket >= toStartOfDay(toStartOfHour({start}, 'UTC') + INTERVAL 86399 SECOND, 'UTC')"
        f" AND r.bucket < toStartOfDay({end}, 'UTC')"
    )
    return f"""(
  SELECT r.* FROM otel.genai_rollup_hour AS r
  WHERE r.bucket >= toStartOfHour({start}, 'UTC') AND r.bucket <= {end} AND NOT ({long} AND {whole})
  UNION ALL
  SELECT r.* FROM otel.genai_rollup_day AS r
  WHERE {long} AND {whole}
) AS r"""


def hours(where: str = "", *columns: str) -> str:
    """A rollup over the time range, as chosen. `TIME` is the point in time of a row."""
    more = f"\n  AND {where}" if where else ""
    return f"FROM {between()}\nWHERE {chosen('r', *columns)}{more}"


def days(where: str = "") -> str:
    """The day rollup over the time range (whole UTC days), as chosen."""
    more = f"\n  AND {where}" if where else ""
    return f"FROM otel.genai_rollup_day AS r\nWHERE {within('Day')}\n  AND {chosen()}{more}"


def ledger(where: str = "", *, days: int = 31) -> str:
    """Signed entries of the time range's last ``days`` at most, as chosen: for what no rollup holds."""
    more = f"\n  AND {where}" if where else ""
    since = f"greatest($__fromTime, $__toTime - INTERVAL {days} DAY)"
    return (
        f"FROM otel.genai_ledger AS e\nWHERE e.started_at >= {since} AND e.started_at <= $__toTime"
        f"\n  AND {chosen('e')}{more}"
    )


def finest(columns: str, where: str = "") -> str:
    """Minutes for a short time range, hours for a long one."""
    return _either(columns, where, _MINUTES_UP_TO, ("minute", "hour"))


def widest(columns: str, where: str = "") -> str:
    """Hours for a short time range, days for a long one: for histograms, which are dear to add up."""
    return _either(columns, where, _HOURS_UP_TO, ("hour", "day"))


def _either(columns: str, where: str, up_to: int, tables: tuple[str, str]) -> str:
    """One of two rollups by the length of the time range. The half that is not wanted reads nothing."""
    more = f" AND {where}" if where else ""
    halves = (
        f"SELECT r.bucket AS bucket, {columns}\n  FROM otel.genai_rollup_{table} AS r\n  WHERE {_SECONDS} {compare}"
        f" {up_to}\n  AND {within(table.capitalize())}\n  AND {chosen()}{more}"
        for table, compare in zip(tables, ("<=", ">"), strict=True)
    )
    return "FROM (\n  " + "\n  UNION ALL\n  ".join(halves) + "\n) AS r"


_STEP: Final = f"greatest($__interval_s, if({_SECONDS} <= {_HOURS_UP_TO}, 3600, 86400))"
#: The point in time a row of `hours` belongs to.
TIME: Final = f"toStartOfInterval(r.bucket, toIntervalSecond({_STEP}))"
_FINEST_STEP: Final = f"greatest($__interval_s, if({_SECONDS} <= {_MINUTES_UP_TO}, 60, 3600))"
#: The point in time a row of `finest` belongs to.
FINEST_TIME: Final = f"toStartOfInterval(r.bucket, toIntervalSecond({_FINEST_STEP}))"


def quantile_ms(histogram: str, q: float) -> str:
    """A quantile in milliseconds of `sumMap` over a rollup's buckets; at most 4.5 % off, NULL of nothing."""
    return f"genai_quantile_ms({histogram}, {q})"
