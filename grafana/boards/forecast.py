"""Where it is heading: bands, the month's end, budgets, how good the forecasts were, what was out of the ordinary."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, columns, lines, number, row, rows
from grafana.sql import chosen, within
from grafana.variables import choice, one_of

_TENANT: Final = "$__conditionalAll({0}.tenant IN (${{tenant:singlequote}}), $tenant)"
_AXES: Final = ("tenant", "team", "user_id", "api_key_alias", "model", "provider", "application")
_SERIES_OF_CALL: Final = "['total', " + ", ".join(f"concat('{axis}: ', toString(r.{axis}))" for axis in _AXES) + "]"
_SERIES: Final = "if(f.axis = 'total', 'total', concat(f.axis, ': ', f.value))"
_IS_CHOSEN: Final = (
    f"{_SERIES} = ${{series:singlequote}} AND f.metric = ${{metric:singlequote}} AND f.freq = ${{freq:singlequote}}"
)
_BUCKET: Final = "if(${freq:singlequote} = 'day', toStartOfDay(r.bucket), r.bucket)"
_ACTUAL: Final = f"""
SELECT {_BUCKET} AS time, toFloat64(sum(r.${{metric:raw}})) AS actual
FROM otel.genai_rollup_hour AS r
WHERE {within("Day")} AND has({_SERIES_OF_CALL}, ${{series:singlequote}}) AND {chosen("r", "tenant")}
GROUP BY time"""
#: For each bucket what was foreseen last before it began. Several tenants: sums, whose band is on the wide side.
_FORESEEN: Final = f"""
SELECT time, sum(yhat) AS forecast, sum(low) AS lo80, sum(high) AS hi80, sum(lowest) AS lo95, sum(highest) AS hi95
FROM (
  SELECT f.bucket AS time, argMax(f.yhat, f.as_of) AS yhat, argMax(f.lo80, f.as_of) AS low,
    argMax(f.hi80, f.as_of) AS high, argMax(f.lo95, f.as_of) AS lowest, argMax(f.hi95, f.as_of) AS highest
  FROM otel.genai_forecast AS f
  WHERE $__timeFilter(f.bucket) AND {_IS_CHOSEN} AND f.as_of <= f.bucket AND {_TENANT.format("f")}
  GROUP BY f.tenant, f.bucket
)
GROUP BY time"""
_BAND: Final = f"""
SELECT time, max(actual) AS actual, max(forecast) AS forecast, max(lo80) AS lo80, max(hi80) AS hi80
FROM (
  SELECT time, toNullable(actual) AS actual, NULL AS forecast, NULL AS lo80, NULL AS hi80 FROM ({_ACTUAL})
  UNION ALL
  SELECT time, NULL AS actual, forecast, lo80, hi80 FROM ({_FORESEEN})
)
GROUP BY time
ORDER BY time"""
_SCORES: Final = f"""
SELECT lead, count() AS buckets, avg(abs(actual - yhat)) AS mean_error, sum(abs(actual - yhat)) / nullIf(sum(abs(actual)), 0) AS wape,
  avg(actual >= lo80 AND actual <= hi80) AS inside_80, avg(actual >= lo95 AND actual <= hi95) AS inside_95
FROM (
  SELECT f.tenant AS tenant, f.bucket AS time, f.as_of AS as_of, argMax(f.yhat, f.computed_at) AS yhat,
    argMax(f.lo80, f.computed_at) AS lo80, argMax(f.hi80, f.computed_at) AS hi80,
    argMax(f.lo95, f.computed_at) AS lo95, argMax(f.hi95, f.computed_at) AS hi95,
    multiIf(time - as_of <= 21600, 'up to 6 hours', time - as_of <= 86400, 'up to a day', time - as_of <= 604800,
      'up to a week', 'more') AS lead
  FROM otel.genai_forecast AS f
  WHERE $__timeFilter(f.bucket) AND {_IS_CHOSEN} AND f.as_of <= f.bucket AND {_TENANT.format("f")}
  GROUP BY f.tenant, f.bucket, f.as_of
) AS foreseen
INNER JOIN (
  SELECT r.tenant AS tenant, {_BUCKET} AS time, toFloat64(sum(r.${{metric:raw}})) AS actual
  FROM otel.genai_rollup_hour AS r
  WHERE {within("Day")} AND has({_SERIES_OF_CALL}, ${{series:singlequote}}) AND {chosen("r", "tenant")}
  GROUP BY tenant, time
) AS seen USING (tenant, time)
GROUP BY lead
ORDER BY min(dateDiff('second', foreseen.as_of, foreseen.time))"""
_MODELS: Final = f"""
SELECT {_SERIES} AS series, toString(f.metric) AS metric, toString(f.freq) AS freq,
  argMax(f.model, f.as_of) AS model, argMax(f.mase, f.as_of) AS mase, argMax(f.smape, f.as_of) AS smape,
  argMax(f.coverage80, f.as_of) AS coverage80, argMax(f.coverage95, f.as_of) AS coverage95,
  argMax(f.history, f.as_of) AS history, argMax(f.note, f.as_of) AS note, max(f.as_of) AS as_of
FROM otel.genai_forecast AS f
WHERE $__timeFilter(f.bucket) AND {_TENANT.format("f")}
GROUP BY series, metric, freq
ORDER BY series != 'total', mase DESC
LIMIT 200"""
_STATE: Final = f"""
  SELECT b.tenant AS tenant, b.budget AS budget, max(b.as_of) AS seen, argMax(b.source, b.as_of) AS source,
    argMax(b.labels, b.as_of) AS labels, argMax(b.owner, b.as_of) AS owner,
    argMax(b.period, b.as_of) AS period, argMax(b.period_end, b.as_of) AS ends,
    toFloat64(argMax(b.spent_usd, b.as_of)) AS spent_usd, toFloat64(argMax(b.hard_usd, b.as_of)) AS hard_usd,
    toFloat64(argMax(b.soft_usd, b.as_of)) AS soft_usd, ifNull(hard_usd, soft_usd) AS limit_usd,
    argMax(b.forecast_p10, b.as_of) AS p10, argMax(b.forecast_p50, b.as_of) AS p50,
    argMax(b.forecast_p90, b.as_of) AS p90, argMax(b.overrun_probability, b.as_of) AS overrun_probability,
    argMax(b.burn_rate, b.as_of) AS burn_rate, argMax(tuple(b.exhausted_at), b.as_of).1 AS exhausted_at,
    argMax(tuple(b.exhausted_earliest), b.as_of).1 AS earliest, argMax(tuple(b.exhausted_latest), b.as_of).1 AS latest,
    argMax(b.levels, b.as_of) AS levels, argMax(b.totals_usd, b.as_of) AS totals
  FROM otel.genai_budget AS b
  WHERE b.as_of >= $__fromTime - INTERVAL 7 DAY AND b.as_of <= $__toTime AND {_TENANT.format("b")}
  GROUP BY b.tenant, b.budget"""
_MONTH: Final = "WHERE source = 'outlook' AND period = 'month' AND empty(labels)"
_DISTRIBUTION: Final = f"""
SELECT concat('$', toString(round(step.2, 2)), ' to ', toString(round(step.3, 2))) AS total, step.1 AS probability
FROM (
  SELECT arrayJoin(arrayMap((p, q, a, b) -> (q - p, a, b), arrayPopBack(levels), arrayPopFront(levels),
    arrayPopBack(totals), arrayPopFront(totals))) AS step
  FROM (SELECT levels, totals FROM ({_STATE}
  ) {_MONTH} ORDER BY p50 DESC LIMIT 1)
)
ORDER BY step.2"""
_BUDGETS: Final = f"""
SELECT tenant, budget, source, owner, period, spent_usd, limit_usd, spent_usd / nullIf(limit_usd, 0) AS used,
  p10, p50, p90, overrun_probability, burn_rate, exhausted_at, earliest, latest, ends, seen
FROM ({_STATE}
)
WHERE source != 'outlook'
ORDER BY overrun_probability DESC, used DESC"""
_ANOMALIES: Final = f"""
SELECT a.started_at AS time, dateDiff('second', a.started_at, ifNull(a.ended_at, least(now('UTC'), $__toTime))) AS lasted,
  toString(a.severity) AS severity, toString(a.metric) AS metric,
  if(a.value = '', toString(a.axis), concat(a.axis, ': ', a.value)) AS series, a.observed AS observed,
  a.expected AS expected, a.lo AS lo, a.hi AS hi, a.impact_usd AS impact_usd,
  arrayStringConcat(arrayMap((x, v, s) -> concat(x, ' ', v, ' ', toString(round(100 * s)), '%'),
    a.contributors.axis, a.contributors.value, a.contributors.share), ', ') AS because_of, a.note AS note
FROM otel.genai_anomaly AS a FINAL
WHERE $__timeFilter(a.started_at) AND {_TENANT.format("a")}
ORDER BY time DESC
LIMIT 200"""
_ALERTS: Final = f"""
SELECT assumeNotNull(s.fired_at) AS time, toString(s.rule) AS rule, toString(s.severity) AS severity, toString(s.state) AS state,
  s.value AS value, s.annotations['summary'] AS summary,
  arrayStringConcat(arrayMap((k, v) -> concat(k, '=', v), mapKeys(s.labels), mapValues(s.labels)), ', ') AS labels,
  s.resolved_at AS resolved_at, s.last_sent_at AS last_sent_at
FROM otel.alert_state AS s FINAL
WHERE s.fired_at IS NOT NULL AND $__timeFilter(s.active_at) AND {_TENANT.format("s")}
ORDER BY time DESC
LIMIT 200"""
_CHOICES: Final = f"""
SELECT {_SERIES} AS series
FROM otel.genai_forecast AS f
WHERE $__timeFilter(f.bucket) AND {_TENANT.format("f")}
GROUP BY series
ORDER BY series != 'total', series
LIMIT 1000"""

BOARD: Final = Board(
    name="forecast",
    title="Forecast & anomalies",
    text="What will be spent and how sure that is, when budgets run out, how good past forecasts were, what was out of the ordinary.",
    filters=("tenant",),
    since="now-14d",
    until="now+14d",
    variables=[
        one_of("series", "Series", _CHOICES),
        choice(
            "metric",
            "Metric",
            {"Spend": "cost_usd", "Calls": "calls", "Input tokens": "input_tokens", "Output tokens": "output_tokens"},
        ),
        choice("freq", "By", {"day": "day", "hour": "hour"}),
    ],
    panels=[
        row("Heading for"),
        number(
            "Month's end",
            "The median of the forecast for the whole month.",
            f"SELECT sum(p50) AS p50 FROM ({_STATE}\n) {_MONTH}",
            "currencyUSD",
            needs=["forecasting"],
        ),
        number(
            "Low",
            "One month in ten ends below.",
            f"SELECT sum(p10) AS p10 FROM ({_STATE}\n) {_MONTH}",
            "currencyUSD",
            needs=["forecasting"],
        ),
        number(
            "High",
            "One month in ten ends above.",
            f"SELECT sum(p90) AS p90 FROM ({_STATE}\n) {_MONTH}",
            "currencyUSD",
            needs=["forecasting"],
        ),
        number(
            "Budgets likely to overrun",
            "Budgets whose probability of overrun is above one half.",
            f"SELECT countIf(overrun_probability > 0.5) AS budgets FROM ({_STATE}\n) WHERE source != 'outlook'",
            "short",
            needs=["forecasting"],
            limits=[(1, "orange")],
        ),
        number(
            "Next budget to run out",
            "When the first budget is exhausted, by the median of its forecast.",
            f"SELECT toUnixTimestamp(min(exhausted_at)) * 1000 AS exhausted_at FROM ({_STATE}\n) WHERE source != 'outlook'",
            "dateTimeFromNow",
            needs=["forecasting"],
        ),
        number(
            "Anomalies",
            "Incidents that began in the time range.",
            f"SELECT count() AS incidents FROM otel.genai_anomaly AS a FINAL WHERE $__timeFilter(a.started_at) AND {_TENANT.format('a')}",
            "short",
            needs=["forecasting"],
            limits=[(1, "orange")],
        ),
        lines(
            "Forecast and what happened",
            "For each bucket the forecast made last before it began, with its 80 % interval, and what happened.",
            _BAND,
            "short",
            width=24,
            height=10,
            step="1m",
            needs=["forecasting"],
            band=("lo80", "hi80"),
        ),
        columns(
            "Where the month may end",
            "Probability of each range of the month's total.",
            _DISTRIBUTION,
            "percentunit",
            x="total",
            needs=["forecasting"],
        ),
        rows(
            "How good the forecasts were",
            "Past forecasts of the chosen series against what happened, by how far ahead they were made. Wape: the sum of errors as a share of the sum.",
            _SCORES,
            {
                "buckets": "short",
                "mean_error": "short",
                "wape": "percentunit",
                "inside_80": "percentunit",
                "inside_95": "percentunit",
            },
            width=12,
            needs=["forecasting"],
        ),
        row("Budgets"),
        rows(
            "Budgets and when they run out",
            "Spent so far, how the period will end, the probability of an overrun, and when the money is gone.",
            _BUDGETS,
            {
                **dict.fromkeys(("spent_usd", "limit_usd", "p10", "p50", "p90"), "currencyUSD"),
                "used": "percentunit",
                "overrun_probability": "percentunit",
                "burn_rate": "short",
                **dict.fromkeys(("exhausted_at", "earliest", "latest", "ends", "seen"), "dateTimeAsIso"),
            },
            needs=["forecasting"],
            gauges=["used"],
        ),
        row("Out of the ordinary"),
        rows(
            "Anomalies",
            "Incidents, worst bucket against what was expected, and what caused them.",
            _ANOMALIES,
            {
                "time": "dateTimeAsIso",
                "lasted": "s",
                "observed": "short",
                "expected": "short",
                "lo": "short",
                "hi": "short",
                "impact_usd": "currencyUSD",
            },
            needs=["forecasting"],
            links={"series": ("Spend then", address("tokentide-spend"))},
        ),
        rows(
            "Alerts",
            "Alerts that fired, and whether they still do.",
            _ALERTS,
            {
                "time": "dateTimeAsIso",
                "value": "short",
                "resolved_at": "dateTimeAsIso",
                "last_sent_at": "dateTimeFromNow",
            },
            needs=["alerting"],
        ),
        row("Models"),
        rows(
            "Which model forecasts what",
            "The newest forecast of each series: its model and how it did in the backtest. MASE below 1 beats the naive forecast.",
            _MODELS,
            {
                "mase": "short",
                "smape": "percentunit",
                "coverage80": "percentunit",
                "coverage95": "percentunit",
                "history": "short",
                "as_of": "dateTimeFromNow",
            },
            needs=["forecasting"],
        ),
    ],
)
