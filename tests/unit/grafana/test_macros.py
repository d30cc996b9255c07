"""Macros and variables, as Grafana and its ClickHouse plugin expand them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from grafana.macros import ALL, MacroError, Window, expand, variables_of

AT = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), 300)
START, END = 1793491200, 1793577600


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("$__fromTime", f"toDateTime({START})"),
        ("f($__toTime, 'UTC')", f"f(toDateTime({END}), 'UTC')"),
        ("$__fromTime_ms", f"fromUnixTimestamp64Milli({START}000)"),
        ("$__timeFilter(a.b)", f"a.b >= toDateTime({START}) AND a.b <= toDateTime({END})"),
        (
            "$__timeFilter_ms(t)",
            f"t >= fromUnixTimestamp64Milli({START}000) AND t <= fromUnixTimestamp64Milli({END}000)",
        ),
        ("$__dateFilter(d)", "d >= toDate('2026-11-01') AND d <= toDate('2026-11-02')"),
        (
            "$__dateTimeFilter(d, t)",
            (
                "(d >= toDate('2026-11-01') AND d <= toDate('2026-11-02'))"
                f" AND (t >= toDateTime({START}) AND t <= toDateTime({END}))"
            ),
        ),
        ("$__timeInterval(t)", "toStartOfInterval(toDateTime(t), INTERVAL 300 second)"),
        ("$__timeInterval_ms(f(t))", "toStartOfInterval(toDateTime64(f(t), 3), INTERVAL 300000 millisecond)"),
        ("$__interval_s", "300"),
        ("$__timeFrom(t) AND $__timeTo(t)", f"t >= toDateTime({START}) AND t <= toDateTime({END})"),
    ],
)
def test_a_macro_is_what_the_plugin_makes_of_it(sql: str, wanted: str) -> None:
    """Each macro becomes the text that the plugin's source says."""
    assert expand(sql, AT, {}) == wanted


@pytest.mark.parametrize("value", [ALL, [ALL], "", []])
def test_a_condition_on_all_is_no_condition(value: str | list[str]) -> None:
    """`$__conditionalAll` is 1=1 when everything, or nothing, is chosen."""
    sql = "WHERE $__conditionalAll(f(a, b) IN (${team:singlequote}), $team) AND x"
    assert expand(sql, AT, {"team": value}) == "WHERE 1=1 AND x"


def test_a_condition_on_a_choice_stands() -> None:
    """Several values are quoted, quotes in them escaped, and commas or brackets in them split nothing."""
    sql = "$__conditionalAll(a IN (${team:singlequote}), $team)"
    assert expand(sql, AT, {"team": ["it's", "a, b)"]}) == r"a IN ('it\'s','a, b)')"


@pytest.mark.parametrize(
    "sql",
    ["$__unknown(x)", "$__timeFilter", "$__timeFilter(a, b)", "$__conditionalAll(a, b)", "${nobody}", "${team:html}"],
)
def test_what_would_reach_clickhouse_unexpanded_is_an_error(sql: str) -> None:
    """A macro, variable or format that is not known is never passed on."""
    with pytest.raises(MacroError):
        expand(sql, AT, {"team": "x"})


def test_the_variables_of_a_query() -> None:
    """Found in both spellings; Grafana's own are not among them."""
    assert variables_of("${a:raw} $b $__toTime ${__from}") == {"a", "b"}
