"""What was spent, by whom and on what, why it changed, and where the month is heading."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, columns, lines, number, row, rows
from grafana.sql import FILTERS, TIME, USD, between, chosen, hours, named
from grafana.variables import choice

CALLS: Final = address("tokentide-calls")
BY: Final = {
    "Team": "team",
    "User": "user_id",
    "Key": "api_key_alias",
    "Model": "model",
    "Application": "application",
    "Provider": "provider",
    "Project": "project",
    "Cost centre": "cost_center",
    "Environment": "environment",
    "Requested model": "requested_model",
}
_BY: Final = named("r.${by:raw}")
_MONTH: Final = "toDateTime(toStartOfMonth($__toTime, 'UTC'), 'UTC')"
_TENANT: Final = "$__conditionalAll({0}.tenant IN (${{tenant:singlequote}}), $tenant)"
#: Budgets and forecasts are of everything: they are not shown beside a part of it.
_EVERYTHING: Final = " AND ".join(f"$__conditionalAll(1 = 0, ${name})" for name in FILTERS if name != "tenant")


def _hours_since(start: str) -> str:
    return f"FROM otel.genai_rollup_hour AS r\nWHERE r.bucket >= {start} AND r.bucket <= $__toTime\n  AND {chosen()}"


_DAY: Final = "toStartOfDay($__toTime, 'UTC')"
_TODAY = f"SELECT {USD} AS today {_hours_since(_DAY)}"
_TO_DATE = f"SELECT {USD} AS month_to_date\nFROM {between(_MONTH)}\nWHERE {chosen()}"
_OUTLOOK = f"""
FROM (
  SELECT b.budget AS budget, b.source AS source, argMax(b.spent_usd, b.as_of) AS spent,
    argMax(b.hard_usd, b.as_of) AS hard, argMax(b.soft_usd, b.as_of) AS soft,
    argMax(b.forecast_p10, b.as_of) AS p10, argMax(b.forecast_p50, b.as_of) AS p50,
    argMax(b.forecast_p90, b.as_of) AS p90
  FROM otel.genai_budget AS b
  WHERE b.as_of >= $__toTime - INTERVAL 40 DAY AND b.as_of <= $__toTime AND b.period_end > $__toTime
    AND b.period = 'month' AND empty(b.labels) AND {_TENANT.format("b")}
    AND {_EVERYTHING}
  GROUP BY b.tenant, b.budget, b.source
)"""
_MONTH_LINE = f"""
SELECT time, spent, forecast, budget
FROM (
  SELECT bucket AS time, if(bucket <= $__toTime, sum(cost) OVER (ORDER BY bucket), NULL) AS spent,
    if(bucket > $__toTime, sum(cost + foreseen) OVER (ORDER BY bucket), NULL) AS forecast,
    (SELECT toFloat64(max(ifNull(hard, soft))) {_OUTLOOK} WHERE source != 'outlook') AS budget
  FROM (
    SELECT bucket, sum(cost) AS cost, sum(foreseen) AS foreseen
    FROM (
      SELECT toStartOfDay(r.bucket, 'UTC') AS bucket, {USD} AS cost, 0 AS foreseen
      FROM {between(_MONTH)}
      WHERE {chosen()}
      GROUP BY bucket
      UNION ALL
      SELECT toStartOfDay(f.bucket, 'UTC') AS bucket, 0 AS cost, argMax(f.yhat, f.as_of) AS foreseen
      FROM otel.genai_forecast AS f
      WHERE f.metric = 'cost_usd' AND f.axis = 'total' AND f.freq = 'day' AND f.as_of <= $__toTime
        AND f.bucket > $__toTime AND f.bucket < {_MONTH} + INTERVAL 1 MONTH AND {_TENANT.format("f")}
        AND {_EVERYTHING}
      GROUP BY f.tenant, f.bucket
    )
    GROUP BY bucket
  )
)
ORDER BY time
"""
_SERIES = f"""
WITH top AS (
  SELECT {_BY} AS name
  {hours()}
  GROUP BY name ORDER BY sum(r.cost_usd) DESC LIMIT 10
)
SELECT {TIME} AS time, if({_BY} IN (SELECT name FROM top), {_BY}, '(others)') AS name,
  {USD} AS cost_usd
{hours()}
GROUP BY time, name
ORDER BY time, name
"""


def _by(column: str, limit: int = 50) -> str:
    """Spend of the range by a column, beside the range of the same length before it."""
    start = "toDateTime(2 * toUInt32($__fromTime) - toUInt32($__toTime))"
    end = "toStartOfHour($__fromTime, 'UTC') - INTERVAL 1 SECOND"
    return f"""
SELECT {named(f"r.{column}")} AS {column}, toFloat64(sumIf(r.cost_usd, r.now)) AS cost_usd,
  cost_usd / nullIf(sum(cost_usd) OVER (), 0) AS share,
  toFloat64(sumIf(r.cost_usd, NOT r.now)) AS before_usd, cost_usd - before_usd AS change_usd,
  sumIf(r.calls, r.now) AS calls, sumIf(r.input_tokens + r.output_tokens, r.now) AS tokens,
  cost_usd / nullIf(calls, 0) AS usd_per_call, sumIf(r.unpriced_calls, r.now) AS unpriced
FROM (
  SELECT r.*, true AS now FROM {between()}
  UNION ALL
  SELECT r.*, false AS now FROM {between(start, end)}
) AS r
WHERE {chosen()}
GROUP BY {column}
HAVING calls > 0 OR before_usd > 0
ORDER BY cost_usd DESC, calls DESC
LIMIT {limit}"""


_UNITS: Final = {
    "cost_usd": "currencyUSD",
    "share": "percentunit",
    "before_usd": "currencyUSD",
    "change_usd": "currencyUSD",
    "calls": "short",
    "tokens": "short",
    "usd_per_call": "currencyUSD",
    "unpriced": "short",
}
#: The seven days that end with the range (1) and the seven before (0), by model. Effects add up to the change:
#: volume at the old average price, mix at the old price of each model, price at the new volume of each model. What is
#: paid without tokens anybody counted is `other`.
_EFFECTS = f"""
FROM (
  SELECT model, cost0, cost1, cost1 - cost0 AS change,
    sum(if(tokens0 > 0, cost0, 0)) OVER () / nullIf(sum(tokens0) OVER (), 0) AS average0,
    sum(tokens0) OVER () AS total0, sum(tokens1) OVER () AS total1,
    if(tokens0 > 0, cost0 / tokens0, if(tokens1 > 0, cost1 / tokens1, 0)) AS price0,
    ifNull((tokens0 / nullIf(total0, 0)) * (total1 - total0) * average0, 0) AS volume_usd,
    if(tokens1 > 0, cost1 - tokens1 * price0, 0) AS price_usd,
    (tokens1 * price0 - if(tokens0 > 0, cost0, 0)) - volume_usd AS mix_usd,
    change - volume_usd - price_usd - mix_usd AS other_usd
  FROM (
    SELECT {named("r.model")} AS model,
      toFloat64(sumIf(r.cost_usd, r.bucket < $__toTime - INTERVAL 7 DAY)) AS cost0,
      toFloat64(sumIf(r.cost_usd, r.bucket >= $__toTime - INTERVAL 7 DAY)) AS cost1,
      sumIf(r.input_tokens + r.output_tokens, r.bucket < $__toTime - INTERVAL 7 DAY) AS tokens0,
      sumIf(r.input_tokens + r.output_tokens, r.bucket >= $__toTime - INTERVAL 7 DAY) AS tokens1
    {_hours_since("$__toTime - INTERVAL 14 DAY")}
    GROUP BY model
  )
)"""
_WEEK = f"""
SELECT part.1 AS effect, part.2 AS change_usd
FROM (
  SELECT sum(volume_usd) AS volume, sum(price_usd) AS price, sum(mix_usd) AS mix, sum(other_usd) AS other {_EFFECTS}
)
ARRAY JOIN [('volume', volume), ('price', price), ('model mix', mix), ('without tokens', other),
  ('all together', volume + price + mix + other)] AS part
"""
_WEEK_BY_MODEL = f"""
SELECT model, cost0 AS week_before_usd, cost1 AS week_usd, change AS change_usd, volume_usd, price_usd, mix_usd,
  other_usd
{_EFFECTS}
WHERE cost0 != 0 OR cost1 != 0
ORDER BY abs(change) DESC
LIMIT 20"""
_UNCACHED = "(r.input_tokens - r.cache_read_tokens - r.cache_write_tokens)"
#: What cached input would have cost uncached, at what the same model's uncached input cost, less what it did cost.
_CACHE_SAVED = f"""
SELECT {named("r.model")} AS model, sum(r.cache_read_tokens) AS cache_read_tokens,
  sum(r.cache_read_tokens) / nullIf(sum(r.input_tokens), 0) AS hit_rate,
  toFloat64(sum(r.cost_cache_usd)) AS paid_usd,
  (sum(r.cache_read_tokens) + sum(r.cache_write_tokens)) * toFloat64(sum(r.cost_input_usd))
    / nullIf(sum({_UNCACHED}), 0) - paid_usd AS saved_usd
{hours("r.status = 'ok'")}
GROUP BY model
HAVING cache_read_tokens > 0
ORDER BY saved_usd DESC"""
_SINCE: Final = f"""a.computed_at >= $__toTime - INTERVAL 40 DAY AND a.computed_at <= $__toTime
  AND {_TENANT.format("a")} AND {_EVERYTHING}"""
_CHEAPER: Final = f"""
SELECT a.kind AS kind, a.subject AS subject, a.change AS change, toFloat64(a.saved_usd) AS saved_usd,
  toFloat64(a.actual_usd) AS actual_usd, a.calls AS calls, a.unknown_calls AS unknown_calls, a.assumption AS assumption
FROM otel.genai_advice AS a
WHERE {_SINCE}
  AND (a.tenant, a.computed_at) IN (
    SELECT a.tenant, max(a.computed_at) FROM otel.genai_advice AS a WHERE {_SINCE} GROUP BY a.tenant
  )
ORDER BY a.saved_usd DESC
LIMIT 5"""
_WHO = f"""
SELECT {TIME} AS time,
  multiIf(r.team != '' OR r.cost_center != '' OR r.project != '', 'allocated',
    r.user_id != '' OR r.application != '', 'a user or an application, no team', 'nobody') AS allocation,
  {USD} AS cost_usd
{hours()}
GROUP BY time, allocation
ORDER BY time, allocation"""

BOARD: Final = Board(
    name="spend",
    title="Spend",
    text="What was spent, on what, why it changed and where the month is heading. Days and months are UTC.",
    variables=[choice("by", "Broken down by", BY)],
    panels=[
        row("The answer"),
        number(
            "Today",
            "Dollars of the UTC day in which the time range ends.",
            _TODAY,
            "currencyUSD",
            links={"Calls": CALLS},
        ),
        number(
            "Month to date",
            "Dollars since the first of the month (UTC) in which the time range ends.",
            _TO_DATE,
            "currencyUSD",
        ),
        number(
            "Month's budget used",
            "Month to date as a share of the month's budget over everything (several: their sum).",
            f"SELECT toFloat64(sum(spent)) / nullIf(toFloat64(sum(ifNull(hard, soft))), 0) AS used {_OUTLOOK}"
            " WHERE source != 'outlook'",
            "percentunit",
            needs=["forecasting"],
            limits=[(0.8, "orange"), (1, "red")],
        ),
        number(
            "Month's end",
            "What the month will have cost: the median of the forecast. The band is on the Forecast dashboard.",
            f"SELECT sum(p50) AS forecast_usd {_OUTLOOK} WHERE source = 'outlook'",
            "currencyUSD",
            needs=["forecasting"],
            links={"Forecast": address("tokentide-forecast")},
        ),
        number(
            "In the time range",
            "Dollars of the whole time range.",
            f"SELECT {TIME} AS time, {USD} AS cost_usd {hours()} GROUP BY time ORDER BY time",
            "currencyUSD",
            area=True,
        ),
        number(
            "Unpriced calls",
            "Calls whose cost nobody knows. They are not in any sum of dollars here: unknown is not zero.",
            f"SELECT sum(r.unpriced_calls) AS unpriced {hours()}",
            "short",
            limits=[(1, "orange")],
            links={"Which": address("tokentide-pipeline")},
        ),
        lines(
            "The month against budget and forecast",
            "Dollars added up since the first of the month, the forecast added on top, and the month's budget.",
            _MONTH_LINE,
            "currencyUSD",
            width=24,
        ),
        row("Where it goes"),
        lines(
            "Spend over time",
            "The ten largest by the chosen breakdown, the others together.",
            _SERIES,
            "currencyUSD",
            by="name",
            width=24,
            style="stack",
            links={"Calls": CALLS},
        ),
        *(
            rows(
                f"By {label.lower()}",
                f"Dollars by {label.lower()}, beside the equally long time before. Click a name for its calls.",
                _by(column),
                _UNITS,
                width=12,
                needs=needs,
                gauges=["share"],
                links={column: ("Calls", address("tokentide-calls", **{column: "${__value.text}"}))},
            )
            for label, column, needs in (
                ("Team", "team", []),
                ("User", "user_id", []),
                ("Key", "api_key_alias", ["gateway"]),
                ("Model", "model", []),
                ("Application", "application", []),
                ("Provider", "provider", []),
            )
        ),
        row("Why it changed"),
        columns(
            "Week over week",
            "The seven days that end with the time range against the seven before. Volume: more or fewer tokens at the old "
            "average price. Price: the same model costs another amount for a token. Model mix: tokens moved between models.",
            _WEEK,
            "currencyUSD",
            x="effect",
            width=8,
        ),
        rows(
            "Week over week by model",
            "The same, model by model; volume, price, mix and what is paid without tokens add up to the change.",
            _WEEK_BY_MODEL,
            dict.fromkeys(
                ("week_before_usd", "week_usd", "change_usd", "volume_usd", "price_usd", "mix_usd", "other_usd"),
                "currencyUSD",
            ),
            width=16,
        ),
        row("Unit costs"),
        lines(
            "Cost of a request",
            "Dollars for a call that has a price, by the chosen breakdown.",
            _SERIES.replace(
                f"{USD} AS cost_usd", f"{USD} / nullIf(sum(r.calls - r.unpriced_calls), 0) AS usd_per_call"
            ),
            "currencyUSD",
            by="name",
        ),
        lines(
            "Cost of a million tokens",
            "Dollars for a million tokens, input and output together, by the chosen breakdown.",
            _SERIES.replace(
                f"{USD} AS cost_usd",
                f"1e6 * {USD} / nullIf(sum(r.input_tokens + r.output_tokens), 0) AS usd_per_million",
            ),
            "currencyUSD",
            by="name",
        ),
        lines(
            "Tokens",
            "Tokens by class. Input is without what was read from or written to the prompt cache, output without reasoning.",
            f"""SELECT {TIME} AS time, sum({_UNCACHED}) AS input,
  sum(r.cache_read_tokens) AS cache_read, sum(r.cache_write_tokens) AS cache_write,
  sum(r.output_tokens - r.reasoning_tokens) AS output, sum(r.reasoning_tokens) AS reasoning
{hours()} GROUP BY time ORDER BY time""",
            "short",
            style="stack",
        ),
        lines(
            "What the money is for",
            "Dollars by part. A cost that was only reported as a total is `other`.",
            f"""SELECT {TIME} AS time, toFloat64(sum(r.cost_input_usd)) AS input,
  toFloat64(sum(r.cost_output_usd)) AS output, toFloat64(sum(r.cost_cache_usd)) AS cache,
  toFloat64(sum(r.cost_other_usd)) AS other
{hours()} GROUP BY time ORDER BY time""",
            "currencyUSD",
            style="stack",
        ),
        row("What was saved"),
        number(
            "Saved by the gateway's cache",
            "What the answers from the gateway's own cache would have cost.",
            f"SELECT toFloat64(sum(r.saved_usd)) AS saved_usd {hours()}",
            "currencyUSD",
            needs=["gateway cache"],
        ),
        number(
            "Discounts",
            "Discounts that the gateway or the price book took off, less margins put on.",
            f"SELECT toFloat64(sum(r.discount_usd) - sum(r.margin_usd)) AS discount_usd {hours()}",
            "currencyUSD",
            needs=["discounts"],
        ),
        rows(
            "Saved by prompt caching",
            "What cached input would have cost at the price its model's uncached input had in the same time, less what it "
            "cost. Negative: writing the cache cost more than reading it saved.",
            _CACHE_SAVED,
            {
                "cache_read_tokens": "short",
                "hit_rate": "percentunit",
                "paid_usd": "currencyUSD",
                "saved_usd": "currencyUSD",
            },
            width=16,
            needs=["prompt cache"],
        ),
        rows(
            "What would have been cheaper",
            "The five changes that would have saved most on the calls of the last days, as computed once a day, and what "
            "each assumes. Savings of two lines do not add up. `tokentide what-if` shows the configuration that does it.",
            _CHEAPER,
            {
                "saved_usd": "currencyUSD",
                "actual_usd": "currencyUSD",
                "calls": "short",
                "unknown_calls": "short",
            },
            width=24,
            needs=["advice"],
        ),
        row("Who pays"),
        lines(
            "Allocated and unallocated dollars",
            "Allocated: a team, project or cost centre is known.",
            _WHO,
            "currencyUSD",
            by="allocation",
            style="stack",
        ),
        rows(
            "How the cost is known",
            "gateway, provider and client reported it; local is computed here. The two dollar columns show the drift between "
            "what was reported and what the price book says.",
            f"""SELECT r.cost_source AS cost_source, sum(r.calls) AS calls, {USD} AS cost_usd,
  toFloat64(sum(r.cost_reported_usd)) AS reported_usd, toFloat64(sum(r.cost_local_usd)) AS local_usd
{hours()} GROUP BY cost_source HAVING calls > 0 ORDER BY cost_usd DESC""",
            {"calls": "short", "cost_usd": "currencyUSD", "reported_usd": "currencyUSD", "local_usd": "currencyUSD"},
            width=12,
        ),
        rows(
            "Unpriced models",
            "Models without a known price, and how much they are used. Set a price in the configuration, then "
            "`tokentide reprice`.",
            f"""SELECT {named("r.model")} AS model, {named("r.provider")} AS provider, sum(r.unpriced_calls) AS unpriced,
  sum(r.input_tokens) AS input_tokens, sum(r.output_tokens) AS output_tokens
{hours("r.unpriced_calls != 0")} GROUP BY model, provider HAVING unpriced > 0 ORDER BY unpriced DESC LIMIT 50""",
            {"unpriced": "short", "input_tokens": "short", "output_tokens": "short"},
            width=24,
            needs=["unpriced"],
        ),
    ],
)
