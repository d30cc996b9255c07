"""Who is charged what: teams, cost centres, projects, and what nobody can be charged for."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, lines, number, row, rows
from grafana.sql import USD, chosen, days, named, within

_MONEY: Final = f"""{USD} AS cost_usd, cost_usd / nullIf(sum(cost_usd) OVER (), 0) AS share,
  toFloat64(sum(r.cost_input_usd)) AS input_usd, toFloat64(sum(r.cost_output_usd)) AS output_usd,
  toFloat64(sum(r.cost_cache_usd)) AS cache_usd, toFloat64(sum(r.cost_other_usd)) AS other_usd,
  toFloat64(sum(r.discount_usd)) AS discount_usd, toFloat64(sum(r.margin_usd)) AS margin_usd,
  sum(r.calls) AS calls, sum(r.input_tokens) AS input_tokens, sum(r.output_tokens) AS output_tokens,
  sum(r.unpriced_calls) AS unpriced"""
_UNITS: Final = {
    **dict.fromkeys(
        ("cost_usd", "input_usd", "output_usd", "cache_usd", "other_usd", "discount_usd", "margin_usd"), "currencyUSD"
    ),
    "share": "percentunit",
    **dict.fromkeys(("calls", "input_tokens", "output_tokens", "unpriced"), "short"),
}


def _by(*by: str) -> str:
    names = ", ".join(f"{named(f'r.{column}')} AS {column}" for column in by)
    shown = ", ".join(by)
    return (
        f"SELECT {names},\n  {_MONEY}\n{days()}\nGROUP BY {shown}\nHAVING calls > 0\nORDER BY cost_usd DESC\nLIMIT 500"
    )


_END_USERS: Final = f"""
SELECT {named("r.end_user")} AS end_user, {USD} AS cost_usd, sum(r.calls) AS calls,
  sum(r.input_tokens) AS input_tokens, sum(r.output_tokens) AS output_tokens
FROM otel.genai_rollup_end_user AS r
WHERE {within("Day")} AND r.bucket >= $__toTime - INTERVAL 31 DAY AND {chosen()} AND r.end_user != ''
GROUP BY end_user
HAVING calls > 0
ORDER BY cost_usd DESC
LIMIT 500"""

#: What the newest comparison of each tenant says of the days of the time range.
_COMPARED: Final = f"""
FROM otel.genai_agreement AS a FINAL
WHERE a.day >= toStartOfDay($__fromTime, 'UTC') AND a.day <= $__toTime AND {chosen("a", "tenant")}
  AND (a.tenant, a.run_id) IN (SELECT tenant, argMax(run_id, compared_at) FROM otel.genai_agreement GROUP BY tenant)"""
_BOOKS: Final = f"""
SELECT a.day AS time, toFloat64(sum(a.theirs_usd)) AS gateway, toFloat64(sum(a.ours_usd)) AS ledger
{_COMPARED} AND a.dimension = 'total'
GROUP BY time
ORDER BY time"""
_PARTS: Final = (
    "theirs",
    "ours",
    "unseen",
    "only_ours",
    "cache_hits",
    "prices",
    "rounding",
    "time_zone",
    "attribution",
)
_RESIDUAL: Final = f"""
SELECT {named("a.member")} AS team, {", ".join(f"toFloat64(sum(a.{part}_usd)) AS {part}_usd" for part in _PARTS)},
  sum(a.theirs_calls) AS their_calls, sum(a.ours_calls) AS our_calls
{_COMPARED} AND a.dimension = 'team'
  AND $__conditionalAll({named("a.member")} IN (${{team:singlequote}}), $team)
GROUP BY team
ORDER BY abs(ours_usd - theirs_usd) DESC, theirs_usd DESC
LIMIT 500"""

BOARD: Final = Board(
    name="chargeback",
    title="Chargeback",
    text="Dollars by team, cost centre, project and owner, by whole days (UTC). Choose the month as the time range; a table's menu has Inspect, Data, Download CSV.",
    since="now-1M/M",
    until="now",
    variables=[],
    panels=[
        row("All"),
        number(
            "Charged",
            "Dollars of the time range with a team, project or cost centre.",
            f"SELECT toFloat64(sumIf(r.cost_usd, r.team != '' OR r.project != '' OR r.cost_center != '')) AS charged {days()}",
            "currencyUSD",
            width=6,
        ),
        number(
            "Left over",
            "Dollars of the time range that no team, project or cost centre can be charged for.",
            f"SELECT toFloat64(sumIf(r.cost_usd, r.team = '' AND r.project = '' AND r.cost_center = '')) AS left_over {days()}",
            "currencyUSD",
            width=6,
            limits=[(0.01, "orange")],
        ),
        number(
            "Left over, as a share",
            "The same as a share of all dollars.",
            f"SELECT toFloat64(sumIf(r.cost_usd, r.team = '' AND r.project = '' AND r.cost_center = '')) / nullIf({USD}, 0) AS left_over {days()}",
            "percentunit",
            width=6,
            limits=[(0.05, "orange")],
        ),
        number(
            "Without a price",
            "Calls that are in no sum of dollars.",
            f"SELECT sum(r.unpriced_calls) AS unpriced {days()}",
            "short",
            width=6,
            limits=[(1, "orange")],
        ),
        rows(
            "Teams",
            "One line a team. input, output, cache and other, less discount, plus margin, is the cost.",
            _by("team"),
            _UNITS,
            height=10,
            gauges=["share"],
            links={"team": ("Calls", address("tokentide-calls", team="${__value.text}"))},
        ),
        rows(
            "Cost centres and owners",
            "As the configuration assigns them.",
            _by("cost_center", "owner"),
            _UNITS,
            needs=["enrichment"],
        ),
        rows("Projects", "One line for a project of a team.", _by("team", "project"), _UNITS),
        rows("Teams and models", "One line for a model a team uses.", _by("team", "model"), _UNITS, height=10),
        rows(
            "End users",
            "The applications' own customers: the request parameter user. By whole days (UTC), at most 31 of them.",
            _END_USERS,
            {"cost_usd": "currencyUSD", "calls": "short", "input_tokens": "short", "output_tokens": "short"},
            needs=["end users"],
        ),
        row("Over time"),
        lines(
            "Dollars a day",
            "By team.",
            f"SELECT toStartOfDay(r.bucket) AS time, {named('r.team')} AS team, {USD} AS cost_usd {days()} GROUP BY time, team ORDER BY time, team",
            "currencyUSD",
            by="team",
            width=24,
            style="stack",
            step="1d",
        ),
        row("The gateway's books"),
        lines(
            "Books and ledger",
            "Dollars a day (UTC) by LiteLLM's spend logs and by the ledger, as the newest comparison found them.",
            _BOOKS,
            "currencyUSD",
            step="1d",
            needs=["comparison"],
        ),
        rows(
            "What they differ in",
            "By team: ours less theirs is unseen (calls only LiteLLM has), only ours, cache hits, prices, rounding, time zone (the same call on another day) and attribution (under another team), added up.",
            _RESIDUAL,
            {**{f"{part}_usd": "currencyUSD" for part in _PARTS}, "their_calls": "short", "our_calls": "short"},
            needs=["comparison"],
        ),
    ],
)
