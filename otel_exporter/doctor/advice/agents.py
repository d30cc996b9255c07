"""What coding agents do not send until they are told to. From their documentation and source."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import LOGS, SINCE, SPANS

_POINTS: Final = " UNION ALL ".join(
    f"SELECT ServiceName, MetricName FROM otel_metrics_{kind} WHERE TimeUnix >= {SINCE}"
    for kind in ("sum", "histogram")
)


def _event(prefix: str, names: str) -> str:
    """A log record of this event, whichever of the three places names it."""
    places = ("LogAttributes['event.name']", "Body", "EventName")
    return "(" + " OR ".join(f"match({place}, '^({prefix}[.])?({names})$')" for place in places) + ")"


def _without_events(prefix: str, event: str) -> str:
    """Services that send metrics or spans of this agent, and none of the log events that describe a call."""
    return f"""SELECT ServiceName AS subject, count() AS count, max(trace) AS example FROM
        (SELECT ServiceName, '' AS trace FROM ({_POINTS}) WHERE startsWith(MetricName, '{prefix}.')
        UNION ALL SELECT ServiceName, TraceId FROM {SPANS} WHERE startsWith(SpanName, '{prefix}.'))
        WHERE ServiceName NOT IN (SELECT ServiceName FROM {LOGS} WHERE {event}) GROUP BY subject"""


_LOSS: Final = (
    "metrics or spans arrive and no log events: the events are what one call is read from, so no call is counted"
)

RULES: Final = (
    Rule(
        name="claude_code.no_events",
        severity=Severity.LOST,
        sql=_without_events("claude_code", _event("claude_code", "api_request|api_error")),
        loss=_LOSS,
        mends={"": Mend("environment of Claude Code", "OTEL_LOGS_EXPORTER=otlp")},
        page="claude-code.md",
    ),
    Rule(
        name="codex.no_events",
        severity=Severity.LOST,
        sql=_without_events("codex", _event("codex", "sse_event|api_request")),
        loss=_LOSS,
        mends={
            "": Mend(
                "~/.codex/config.toml",
                '[otel]\nexporter = {{ otlp-http = {{ endpoint = "http://127.0.0.1:4318/v1/logs",'
                ' protocol = "binary" }} }}',
            )
        },
        page="codex.md",
    ),
    Rule(
        name="gemini_cli.no_events",
        severity=Severity.LOST,
        sql=_without_events("gemini_cli", _event("gemini_cli", "api_response|api_error")),
        loss=_LOSS,
        mends={
            "": Mend(
                "~/.gemini/settings.json",
                '"telemetry": {{"enabled": true, "target": "local", "otlpEndpoint": "http://127.0.0.1:4317"}}',
            )
        },
        page="gemini-cli.md",
    ),
)
