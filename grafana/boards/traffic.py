"""Is it up, is it fast: requests, refusals, errors, retries, latency, rate limits, guardrails."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, lines, number, row, rows, scatter
from grafana.sql import ERRORS, FINAL, FINEST_TIME, OK, USD, finest, hours, ledger, named, quantile_ms

_CALLS: Final = address("tokentide-calls")
_REFUSED: Final = """
FROM otel.genai_refusals AS r FINAL
WHERE $__timeFilter(r.observed_at) AND $__conditionalAll(r.tenant IN (${tenant:singlequote}), $tenant)
  AND $__conditionalAll(if(r.team = '', '(not said)', r.team) IN (${team:singlequote}), $team)
  AND $__conditionalAll(if(r.application = '', '(not said)', r.application) IN (${application:singlequote}), $application)"""


def _percentiles(histogram: str, more: str = "") -> str:
    inner = f"SELECT {FINEST_TIME} AS time, sumMap(r.{histogram}) AS h\n{finest(f'r.{histogram} AS {histogram}', more)}\nGROUP BY time"
    picked = ", ".join(f"{quantile_ms('h', q)} AS {name}" for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)))
    return f"SELECT time, {picked}\nFROM (\n{inner}\n)\nWHERE notEmpty(h)\nORDER BY time"


def _one_percentile(histogram: str, q: float, name: str) -> str:
    return f"SELECT {quantile_ms('h', q)} AS {name} FROM (SELECT sumMap(r.{histogram}) AS h {hours()})"


def _latency_by(*by: str) -> str:
    names = ", ".join(f"{named(f'r.{column}')} AS {column}" for column in by)
    shown = ", ".join(by)
    return f"""
SELECT {shown}, calls, {quantile_ms("d", 0.5)} AS p50, {quantile_ms("d", 0.95)} AS p95, {quantile_ms("d", 0.99)} AS p99,
  {quantile_ms("t", 0.5)} AS ttft_p50, {quantile_ms("t", 0.95)} AS ttft_p95, {quantile_ms("o", 0.95)} AS overhead_p95,
  errors / calls AS error_rate
FROM (
  SELECT {names}, sum(r.calls) AS calls, {ERRORS} AS errors, sumMap(r.duration_buckets) AS d,
    sumMap(r.ttft_buckets) AS t, sumMap(r.overhead_buckets) AS o
  {hours()}
  GROUP BY {shown}
)
WHERE calls > 0
ORDER BY calls DESC
LIMIT 50"""


_LATENCY_UNITS: Final = {
    "calls": "short",
    "error_rate": "percentunit",
    **dict.fromkeys(("p50", "p95", "p99", "ttft_p50", "ttft_p95", "overhead_p95"), "ms"),
}
_STATUS = f"""
SELECT {FINEST_TIME} AS time, sumIf(r.calls, r.status = 'ok') AS ok, sumIf(r.calls, r.status = 'error') AS failed
{finest("r.calls AS calls, r.status AS status")}
GROUP BY time
ORDER BY time"""
_ERRORS_BY_CLASS = f"""
SELECT {FINEST_TIME} AS time,
  concat(if(r.error_type = '', 'error', toString(r.error_type)), if(r.error_code = '', '', concat(' ', r.error_code))) AS error,
  sum(r.calls) AS calls
{finest("r.calls AS calls, r.error_type AS error_type, r.error_code AS error_code", "r.status = 'error'")}
GROUP BY time, error
HAVING calls > 0
ORDER BY time, error"""
_AFTER_RETRIES = f"""
SELECT {named("r.requested_model")} AS requested_model, sumIf(r.calls, {FINAL}) AS requests,
  sumIf(r.calls, {FINAL} AND r.status = 'ok') / nullIf(requests, 0) AS success_after_retries,
  {OK} / nullIf(sum(r.calls), 0) AS success_of_attempts, sum(r.calls) AS attempts, sum(r.retried_calls) AS retries,
  sumIf(r.calls, r.fallback_from != '') AS fallbacks
{hours()}
GROUP BY requested_model
HAVING attempts > 0
ORDER BY requests DESC
LIMIT 50"""
_FALLBACKS = f"""
SELECT r.fallback_from AS fallback_from, {named("r.model")} AS served_by, sum(r.calls) AS calls,
  {OK} / nullIf(calls, 0) AS success, {USD} AS cost_usd
{hours("r.fallback_from != ''")}
GROUP BY fallback_from, served_by
HAVING calls > 0
ORDER BY calls DESC
LIMIT 50"""
_LIMITED = f"""
SELECT {FINEST_TIME} AS time, sum(r.calls) AS too_many_requests
{finest("r.calls AS calls", "r.error_code = '429'")}
GROUP BY time
ORDER BY time"""
_HEADROOM = """
SELECT $__timeInterval(l.observed_at) AS time, if(l.alias = '', l.id, l.alias) AS deployment,
  min(l.remaining_requests) AS remaining_requests
FROM otel.genai_limits AS l
WHERE $__timeFilter(l.observed_at) AND l.scope = 'deployment' AND l.remaining_requests IS NOT NULL
  AND $__conditionalAll(l.tenant IN (${tenant:singlequote}), $tenant)
GROUP BY time, deployment
ORDER BY time, deployment"""
_GUARDRAILS = f"""
SELECT arrayJoin(if(empty(e.guardrails), ['(none)'], e.guardrails)) AS guardrail, sum(e.sign) AS calls,
  sumIf(e.sign, e.status = 'error') / nullIf(calls, 0) AS error_rate,
  sum(e.duration_ms * e.sign) / nullIf(sumIf(e.sign, e.duration_ms IS NOT NULL), 0) AS mean_ms,
  sum(e.gateway_overhead_ms * e.sign) / nullIf(sumIf(e.sign, e.gateway_overhead_ms IS NOT NULL), 0) AS mean_overhead_ms
{ledger("e.gateway != ''")}
GROUP BY guardrail
HAVING calls > 0
ORDER BY calls DESC"""
_LATENCY_AND_COST = f"""
SELECT model, {quantile_ms("d", 0.95)} AS p95, cost_usd / nullIf(calls, 0) AS usd_per_call
FROM (
  SELECT {named("r.model")} AS model, sum(r.calls - r.unpriced_calls) AS calls, {USD} AS cost_usd,
    sumMap(r.duration_buckets) AS d
  {hours("r.status = 'ok'")}
  GROUP BY model
)
WHERE calls > 0
ORDER BY calls DESC
LIMIT 50"""

BOARD: Final = Board(
    name="traffic",
    title="Traffic & reliability",
    text="Requests served and refused, errors, retries and fallbacks, latency, rate limits. Up to two days it reads minutes.",
    since="now-24h",
    refresh="1m",
    panels=[
        row("Now"),
        number(
            "Requests served",
            "Calls that a provider, or the gateway's cache, answered.",
            f"SELECT {OK} AS served {hours()}",
            "short",
            links={"Calls": _CALLS},
        ),
        number(
            "Error rate",
            "Failed calls as a share of all. Attempts that a retry mended count as failed here.",
            f"SELECT {ERRORS} / nullIf(sum(r.calls), 0) AS error_rate {hours()}",
            "percentunit",
            limits=[(0.02, "orange"), (0.05, "red")],
        ),
        number(
            "Success after retries",
            "Requests whose last attempt succeeded, as a share of all.",
            f"SELECT sumIf(r.calls, {FINAL} AND r.status = 'ok') / nullIf(sumIf(r.calls, {FINAL}), 0) AS success {hours()}",
            "percentunit",
        ),
        number(
            "Refused",
            "Requests that the gateway refused before any provider was called.",
            f"SELECT count() AS refused {_REFUSED}",
            "short",
            needs=["refusals"],
            limits=[(1, "orange")],
        ),
        number(
            "p95 latency", "95 % of the calls took no longer.", _one_percentile("duration_buckets", 0.95, "p95"), "ms"
        ),
        number(
            "p95 time to first token",
            "95 % of the streamed answers began no later.",
            _one_percentile("ttft_buckets", 0.95, "p95"),
            "ms",
            needs=["streaming"],
        ),
        row("Requests"),
        lines("Calls", "Calls by outcome.", _STATUS, "short", style="stack", step="1m", links={"Calls": _CALLS}),
        lines(
            "Errors by class",
            "Failed calls by error class and HTTP status.",
            _ERRORS_BY_CLASS,
            "short",
            by="error",
            style="stack",
            step="1m",
            needs=["failures"],
        ),
        lines(
            "Refused by reason",
            "Requests the gateway refused: authentication, budget, rate limit, guardrail, unknown model. They cost nothing.",
            f"SELECT $__timeInterval(r.observed_at) AS time, toString(r.reason) AS reason, count() AS refused {_REFUSED} GROUP BY time, reason ORDER BY time, reason",
            "short",
            by="reason",
            style="stack",
            step="1m",
            needs=["refusals"],
        ),
        rows(
            "Who is refused",
            "Refused requests by reason, key and requested model.",
            f"SELECT toString(r.reason) AS reason, {named('r.error_code')} AS error_code, {named('r.api_key_alias')} AS api_key_alias, {named('r.requested_model')} AS requested_model, count() AS refused, max(r.observed_at) AS last_seen {_REFUSED} GROUP BY reason, error_code, api_key_alias, requested_model ORDER BY refused DESC LIMIT 50",
            {"refused": "short", "last_seen": "dateTimeFromNow"},
            width=12,
            needs=["refusals"],
        ),
        rows(
            "Success after retries, by requested model",
            "What the caller saw (after retries and fallbacks) beside what single attempts did. Without a gateway that shows "
            "attempts, the two are the same.",
            _AFTER_RETRIES,
            {
                "requests": "short",
                "success_after_retries": "percentunit",
                "success_of_attempts": "percentunit",
                "attempts": "short",
                "retries": "short",
                "fallbacks": "short",
            },
            width=14,
            links={"requested_model": ("Calls", address("tokentide-calls", requested_model="${__value.text}"))},
        ),
        rows(
            "Fallback routes",
            "From which model or group requests fell back, and who served them.",
            _FALLBACKS,
            {"calls": "short", "success": "percentunit", "cost_usd": "currencyUSD"},
            width=10,
            needs=["attempts"],
        ),
        row("Latency"),
        lines(
            "Latency",
            "Seconds from request to the end of the answer: percentiles over all calls with a known duration.",
            _percentiles("duration_buckets"),
            "ms",
            step="1m",
        ),
        lines(
            "Time to first token",
            "Percentiles over streamed answers.",
            _percentiles("ttft_buckets"),
            "ms",
            step="1m",
            needs=["streaming"],
        ),
        rows(
            "Latency by provider and model",
            "Percentiles in the time range; overhead is what the gateway added.",
            _latency_by("provider", "model"),
            _LATENCY_UNITS,
        ),
        rows(
            "Latency by deployment",
            "The deployments behind the gateway's models.",
            _latency_by("deployment_id", "requested_model").replace(
                "WHERE calls > 0", "WHERE calls > 0 AND deployment_id != '(not said)'"
            ),
            _LATENCY_UNITS,
            width=14,
            needs=["gateway"],
        ),
        lines(
            "Gateway overhead",
            "What the gateway itself added to a call.",
            _percentiles("overhead_buckets"),
            "ms",
            width=10,
            step="1m",
            needs=["gateway"],
        ),
        row("Limits and guards"),
        lines(
            "Too many requests (429)",
            "Calls that a provider or gateway turned away for their rate.",
            _LIMITED,
            "short",
            style="bars",
            step="1m",
            needs=["failures"],
        ),
        lines(
            "Rate-limit headroom",
            "Requests that the provider still allowed, as its headers said: the lowest in each interval.",
            _HEADROOM,
            "short",
            by="deployment",
            step="1m",
            needs=["headroom"],
        ),
        rows(
            "Guardrails",
            "Calls through the gateway by guardrail that ran: how often they failed, and what they took.",
            _GUARDRAILS,
            {"calls": "short", "error_rate": "percentunit", "mean_ms": "ms", "mean_overhead_ms": "ms"},
            width=12,
            needs=["gateway"],
        ),
        scatter(
            "Latency and cost",
            "One point a model: 95th percentile of latency against dollars for a call. Bottom left is best.",
            _LATENCY_AND_COST,
            {"p95": "ms", "usd_per_call": "currencyUSD"},
        ),
    ],
)
