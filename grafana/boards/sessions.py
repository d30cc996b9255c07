"""Conversations, agents, tools and coding agents: what one of them costs."""

from __future__ import annotations

from typing import Final

from grafana.board import Board
from grafana.panels import address, columns, lines, number, row, rows
from grafana.sql import ERRORS, TIME, USD, hours, ledger, named

_ENTRY_USD: Final = "toFloat64(sum(e.cost_usd * e.sign))"
_IN_SESSIONS: Final = ledger("e.session_id != ''", days=7)
_BY_AGENTS: Final = hours("r.agent != ''")
_SESSIONS: Final = f"""
  SELECT e.session_id AS session_id, sum(e.sign) AS calls, {_ENTRY_USD} AS cost_usd,
    sum(toInt64(ifNull(e.input_tokens, 0)) * e.sign) AS input_tokens, sum(toInt64(ifNull(e.output_tokens, 0)) * e.sign) AS output_tokens,
    max(e.input_tokens) AS largest_input, min(e.started_at) AS began, max(e.ended_at) AS ended,
    anyIf(e.agent, e.agent != '') AS agent, anyIf(e.application, e.application != '') AS application,
    anyIf(e.user_id, e.user_id != '') AS user_id, sumIf(e.sign, e.status = 'error') AS errors
  {ledger("e.session_id != ''", days=7)}
  GROUP BY e.session_id
  HAVING calls > 0"""
_TOP: Final = f"""
SELECT session_id, cost_usd, calls, cost_usd / calls AS usd_per_call, input_tokens, output_tokens, largest_input,
  dateDiff('second', began, ended) AS lasted, errors, {named("agent")} AS agent, {named("application")} AS application,
  {named("user_id")} AS user_id, began
FROM ({_SESSIONS}
)
ORDER BY cost_usd DESC
LIMIT 100"""
_DISTRIBUTION: Final = f"""
SELECT concat('up to $', toString(pow(10, decade))) AS cost, count() AS sessions
FROM (SELECT greatest(ceil(log10(greatest(cost_usd, 1e-6))), -5) AS decade FROM ({_SESSIONS}
))
GROUP BY decade
ORDER BY decade"""
_AGENTS: Final = f"""
SELECT toString(r.agent) AS agent, {USD} AS cost_usd, sum(r.calls) AS calls, cost_usd / nullIf(calls, 0) AS usd_per_call,
  sum(r.input_tokens) / nullIf(calls, 0) AS input_per_call, sum(r.output_tokens) / nullIf(calls, 0) AS output_per_call,
  {ERRORS} / nullIf(calls, 0) AS error_rate
{hours("r.agent != ''")}
GROUP BY agent
HAVING calls > 0
ORDER BY cost_usd DESC
LIMIT 100"""
_TOOL_SPAN: Final = (
    "(startsWith(t.SpanName, 'execute_tool') OR endsWith(t.SpanName, '.tool') OR t.SpanName = 'ai.toolCall')"
)
_TOOL_NAMES: Final = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name", "ai.toolCall.name")


def _tool_spans(where: str) -> str:
    names = ", ".join(f"nullIf(t.SpanAttributes['{name}'], '')" for name in _TOOL_NAMES)
    return f"""
  SELECT coalesce({names}, toString(t.SpanName)) AS tool, toString(t.ServiceName) AS service, t.StatusCode AS status,
    t.Duration AS duration, t.Timestamp AS seen
  FROM otel.otel_traces AS t
  WHERE t.Timestamp >= greatest($__fromTime, $__toTime - INTERVAL 7 DAY) AND t.Timestamp <= $__toTime
    AND $__conditionalAll(if(t.ServiceName = '', '(not said)', toString(t.ServiceName)) IN (${{application:singlequote}}), $application)
    AND {where}"""


#: Spans know no tenant: they are narrowed by the service's name. Most tool spans are known by their own name;
#: OpenInference's only by an attribute, whose index leaves out what has no such key.
_TOOLS: Final = f"""
SELECT tool, service, count() AS runs, countIf(status = 'Error') / runs AS error_rate,
  quantile(0.5)(duration) / 1e6 AS p50, quantile(0.95)(duration) / 1e6 AS p95, max(seen) AS last_seen
FROM ({_tool_spans(_TOOL_SPAN)}
  UNION ALL{_tool_spans(f"mapContains(t.SpanAttributes, 'tool.name') AND NOT {_TOOL_SPAN}")}
)
GROUP BY tool, service
ORDER BY runs DESC
LIMIT 100"""
_CODING: Final = "hasAny(e.sources, ['claude_code', 'claude_code.span', 'codex', 'copilot_chat', 'gemini_cli'])"
_CODING_NAME: Final = """multiIf(has(e.sources, 'codex'), 'Codex', has(e.sources, 'copilot_chat'), 'Copilot',
  has(e.sources, 'gemini_cli'), 'Gemini CLI', 'Claude Code')"""

BOARD: Final = Board(
    name="sessions",
    title="Sessions & agents",
    text="What a conversation, an agent, a tool or a coding agent costs, and which of them run away. Conversations: at most the last seven days of the time range.",
    since="now-7d",
    panels=[
        row("Conversations"),
        number(
            "Conversations",
            "Sessions with at least one call.",
            f"SELECT count() AS sessions FROM ({_SESSIONS}\n)",
            "short",
            needs=["sessions"],
        ),
        number(
            "Median cost",
            "Half of the conversations cost less.",
            f"SELECT if(count() = 0, NULL, quantile(0.5)(cost_usd)) AS usd FROM ({_SESSIONS}\n)",
            "currencyUSD",
            needs=["sessions"],
        ),
        number(
            "p95 cost",
            "One conversation in twenty costs more.",
            f"SELECT if(count() = 0, NULL, quantile(0.95)(cost_usd)) AS usd FROM ({_SESSIONS}\n)",
            "currencyUSD",
            needs=["sessions"],
        ),
        number(
            "Calls in a conversation",
            "On average.",
            f"SELECT sum(calls) / nullIf(count(), 0) AS calls FROM ({_SESSIONS}\n)",
            "short",
            needs=["sessions"],
        ),
        number(
            "In conversations",
            "Dollars of calls that belong to a conversation.",
            f"SELECT if(count() = 0, NULL, sum(cost_usd)) AS usd FROM ({_SESSIONS}\n)",
            "currencyUSD",
            needs=["sessions"],
        ),
        number(
            "Share of all calls",
            "Calls that belong to a conversation as a share of all calls.",
            f"SELECT sumIf(e.sign, e.session_id != '') / nullIf(sum(e.sign), 0) AS share {ledger(days=7)}",
            "percentunit",
        ),
        rows(
            "Dearest conversations",
            "The largest input shows a context that grows. Click a conversation for its calls.",
            _TOP,
            {
                "cost_usd": "currencyUSD",
                "calls": "short",
                "usd_per_call": "currencyUSD",
                "input_tokens": "short",
                "output_tokens": "short",
                "largest_input": "short",
                "lasted": "s",
                "errors": "short",
                "began": "dateTimeAsIso",
            },
            height=10,
            needs=["sessions"],
            links={"session_id": ("Calls", address("tokentide-calls", session="${__value.text}"))},
        ),
        columns(
            "Conversations by cost",
            "How many conversations cost how much.",
            _DISTRIBUTION,
            "short",
            x="cost",
            needs=["sessions"],
        ),
        lines(
            "Cost of conversations",
            "Dollars a conversation, of those with calls in each interval.",
            f"SELECT $__timeInterval(e.started_at) AS time, {_ENTRY_USD} / uniqIf(e.session_id, e.sign = 1) AS usd_per_session {_IN_SESSIONS} GROUP BY time HAVING sum(e.sign) > 0 ORDER BY time",
            "currencyUSD",
            needs=["sessions"],
        ),
        row("Agents and tools"),
        rows(
            "Agents",
            "Calls by the agent that made them.",
            _AGENTS,
            {
                "cost_usd": "currencyUSD",
                "calls": "short",
                "usd_per_call": "currencyUSD",
                "input_per_call": "short",
                "output_per_call": "short",
                "error_rate": "percentunit",
            },
            width=12,
            needs=["agents"],
        ),
        rows(
            "Tools",
            "Tool runs in the traces, of the last seven days of the time range. A tool costs time, not tokens.",
            _TOOLS,
            {"runs": "short", "error_rate": "percentunit", "p50": "ms", "p95": "ms", "last_seen": "dateTimeFromNow"},
            width=12,
            needs=["tools"],
        ),
        lines(
            "Spend by agent",
            "Dollars over time.",
            f"SELECT {TIME} AS time, toString(r.agent) AS agent, {USD} AS cost_usd {_BY_AGENTS} GROUP BY time, agent ORDER BY time, agent",
            "currencyUSD",
            by="agent",
            width=24,
            style="stack",
            needs=["agents"],
        ),
        row("Coding agents"),
        rows(
            "Coding agents",
            "Claude Code, Codex, Copilot and Gemini CLI, by user and model.",
            f"SELECT {_CODING_NAME} AS coding_agent, {named('e.user_id')} AS user_id, {named('e.model')} AS model, sum(e.sign) AS calls, {_ENTRY_USD} AS cost_usd, uniqIf(e.session_id, e.session_id != '' AND e.sign = 1) AS sessions, cost_usd / nullIf(sessions, 0) AS usd_per_session, sum(toInt64(ifNull(e.input_tokens, 0)) * e.sign) AS input_tokens, sum(toInt64(ifNull(e.cache_read_tokens, 0)) * e.sign) AS cache_read_tokens, sum(toInt64(ifNull(e.output_tokens, 0)) * e.sign) AS output_tokens {ledger(_CODING)} GROUP BY coding_agent, user_id, model HAVING calls > 0 ORDER BY cost_usd DESC LIMIT 100",
            {
                "calls": "short",
                "cost_usd": "currencyUSD",
                "sessions": "short",
                "usd_per_session": "currencyUSD",
                "input_tokens": "short",
                "cache_read_tokens": "short",
                "output_tokens": "short",
            },
            needs=["coding agents"],
        ),
        lines(
            "Spend of coding agents",
            "Dollars over time.",
            f"SELECT $__timeInterval(e.started_at) AS time, {_CODING_NAME} AS coding_agent, {_ENTRY_USD} AS cost_usd {ledger(_CODING)} GROUP BY time, coding_agent ORDER BY time, coding_agent",
            "currencyUSD",
            by="coding_agent",
            width=24,
            style="stack",
            needs=["coding agents"],
        ),
    ],
)
