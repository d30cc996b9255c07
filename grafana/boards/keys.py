"""Keys: who holds the money, how near each is to its limit, and one key in detail."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, lines, meters, number, row, rows
from grafana.sql import ERRORS, TIME, USD, hours, named
from grafana.variables import one_of, values_of

_TENANT: Final = "$__conditionalAll(l.tenant IN (${tenant:singlequote}), $tenant)"
#: The newest state of every budget that LiteLLM reported in the time range or the month before it.
_LIMITS: Final = f"""
  SELECT l.tenant AS tenant, toString(l.scope) AS scope, l.id AS id, argMax(l.alias, l.observed_at) AS alias,
    toFloat64(argMax(l.max_budget_usd, l.observed_at)) AS budget_usd,
    toFloat64(argMax(l.spend_usd, l.observed_at)) AS spend_usd, argMax(l.reset_at, l.observed_at) AS resets,
    max(l.observed_at) AS seen
  FROM otel.genai_limits AS l
  WHERE l.observed_at >= $__fromTime - INTERVAL 30 DAY AND l.observed_at <= $__toTime
    AND l.max_budget_usd IS NOT NULL AND {_TENANT}
  GROUP BY l.tenant, l.scope, l.id"""
_HEADROOM: Final = f"""
SELECT if(l.alias = '', l.id, l.alias) AS deployment, argMax(l.remaining_requests, l.observed_at) AS remaining_requests,
  argMax(l.remaining_tokens, l.observed_at) AS remaining_tokens, min(l.remaining_requests) AS lowest_requests,
  min(l.remaining_tokens) AS lowest_tokens, max(l.observed_at) AS seen
FROM otel.genai_limits AS l
WHERE $__timeFilter(l.observed_at) AND (l.remaining_requests IS NOT NULL OR l.remaining_tokens IS NOT NULL) AND {_TENANT}
GROUP BY deployment
ORDER BY remaining_requests
LIMIT 50"""
_KEYS: Final = f"""
SELECT k.api_key_alias AS api_key_alias, k.team AS team, k.cost_usd AS cost_usd, k.calls AS calls,
  k.error_rate AS error_rate, k.users AS users, l.spend_usd AS spend_usd, l.budget_usd AS budget_usd,
  l.spend_usd / nullIf(l.budget_usd, 0) AS used
FROM (
  SELECT {named("r.api_key_alias")} AS api_key_alias, any({named("r.team")}) AS team, any(r.api_key_hash) AS api_key_hash,
    {USD} AS cost_usd, sum(r.calls) AS calls, {ERRORS} / nullIf(calls, 0) AS error_rate,
    uniqIf(r.user_id, r.user_id != '') AS users
  {hours("(r.api_key_alias != '' OR r.api_key_hash != '')")}
  GROUP BY api_key_alias
  HAVING calls > 0
) AS k
LEFT JOIN (SELECT id, toNullable(budget_usd) AS budget_usd, toNullable(spend_usd) AS spend_usd FROM ({_LIMITS}
) WHERE scope = 'key') AS l ON l.id = k.api_key_hash
ORDER BY cost_usd DESC
LIMIT 100"""
_KEY: Final = f"{named('r.api_key_alias')} = ${{key:singlequote}}"
_BUDGET_OVER_TIME: Final = f"""
SELECT $__timeInterval(l.observed_at) AS time, if(l.alias = '', l.id, l.alias) AS name,
  toFloat64(max(l.spend_usd)) AS spend_usd
FROM otel.genai_limits AS l
WHERE $__timeFilter(l.observed_at) AND l.spend_usd IS NOT NULL AND {_TENANT}
GROUP BY time, name
ORDER BY time, name"""

BOARD: Final = Board(
    name="keys",
    title="Keys & limits",
    text="What each key spends, how near it is to its limits, and one key in detail.",
    variables=[one_of("key", "One key", values_of("api_key_alias"))],
    panels=[
        row("All keys"),
        rows(
            "Keys",
            "Keys by spend of the time range. Spend and budget are the gateway's own counters, when it tells them.",
            _KEYS,
            {
                "cost_usd": "currencyUSD",
                "calls": "short",
                "error_rate": "percentunit",
                "users": "short",
                "spend_usd": "currencyUSD",
                "budget_usd": "currencyUSD",
                "used": "percentunit",
            },
            height=10,
            needs=["gateway"],
            gauges=["used"],
            links={"api_key_alias": ("This key", address("tokentide-keys", key="${__value.text}"))},
        ),
        meters(
            "Budgets used",
            "The gateway's own counter as a share of the limit of each key and team.",
            f"SELECT concat(scope, ' ', if(alias = '', id, alias)) AS name, spend_usd / nullIf(budget_usd, 0) AS used FROM ({_LIMITS}\n) ORDER BY used DESC LIMIT 20",
            "percentunit",
            maximum=1,
            needs=["limits"],
            limits=[(0.8, "orange"), (1, "red")],
        ),
        rows(
            "Budgets",
            "Limits and the gateway's counters, and when they start again.",
            f"SELECT scope, if(alias = '', id, alias) AS name, spend_usd, budget_usd, budget_usd - spend_usd AS left_usd, resets, seen FROM ({_LIMITS}\n) ORDER BY left_usd",
            {
                "spend_usd": "currencyUSD",
                "budget_usd": "currencyUSD",
                "left_usd": "currencyUSD",
                "resets": "dateTimeFromNow",
                "seen": "dateTimeFromNow",
            },
            width=12,
            needs=["limits"],
        ),
        rows(
            "Rate-limit headroom",
            "What the provider's headers said last, and the lowest in the time range.",
            _HEADROOM,
            {
                "remaining_requests": "short",
                "remaining_tokens": "short",
                "lowest_requests": "short",
                "lowest_tokens": "short",
                "seen": "dateTimeFromNow",
            },
            width=12,
            needs=["headroom"],
        ),
        lines(
            "The gateway's counters",
            "Spend as LiteLLM counts it: it falls when a budget starts again.",
            _BUDGET_OVER_TIME,
            "currencyUSD",
            by="name",
            needs=["limits"],
        ),
        row("One key"),
        number(
            "Spend",
            "Dollars of the chosen key in the time range.",
            f"SELECT {USD} AS cost_usd {hours(_KEY)}",
            "currencyUSD",
            needs=["gateway"],
            links={"Calls": address("tokentide-calls", api_key_alias="${key}")},
        ),
        number(
            "Calls",
            "Calls of the chosen key.",
            f"SELECT sum(r.calls) AS calls {hours(_KEY)}",
            "short",
            needs=["gateway"],
        ),
        number(
            "Error rate",
            "Failed calls as a share of the key's calls.",
            f"SELECT {ERRORS} / nullIf(sum(r.calls), 0) AS error_rate {hours(_KEY)}",
            "percentunit",
            needs=["gateway"],
            limits=[(0.02, "orange"), (0.05, "red")],
        ),
        number(
            "Cost of a call",
            "Dollars for a call of the key that has a price.",
            f"SELECT {USD} / nullIf(sum(r.calls - r.unpriced_calls), 0) AS usd_per_call {hours(_KEY)}",
            "currencyUSD",
            needs=["gateway"],
        ),
        lines(
            "The key's spend by model",
            "Dollars of the chosen key over time.",
            f"SELECT {TIME} AS time, {named('r.model')} AS model, {USD} AS cost_usd {hours(_KEY)} GROUP BY time, model ORDER BY time, model",
            "currencyUSD",
            by="model",
            style="stack",
            needs=["gateway"],
        ),
        rows(
            "Who uses the key",
            "Users, applications and models of the chosen key.",
            f"SELECT {named('r.user_id')} AS user_id, {named('r.application')} AS application, {named('r.model')} AS model, {USD} AS cost_usd, sum(r.calls) AS calls, {ERRORS} AS errors {hours(_KEY)} GROUP BY user_id, application, model HAVING calls > 0 ORDER BY cost_usd DESC LIMIT 100",
            {"cost_usd": "currencyUSD", "calls": "short", "errors": "short"},
            width=12,
            needs=["gateway"],
        ),
    ],
)
