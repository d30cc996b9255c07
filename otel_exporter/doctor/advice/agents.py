"""What coding agents do not send until they are told to. From their documentation and source."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import CALLS, SINCE, SPANS

_POINTS: Final = " UNION ALL ".join(
    f"SELECT ServiceName, MetricName FROM otel_metrics_{kind} WHERE TimeUnix >= {SINCE}"
    for kind in ("sum", "histogram")
)


def _no_calls(prefix: str) -> str:
    """Services that send metrics or spans of this agent and of which not one call could be read."""
    return f"""SELECT ServiceName AS subject, count() AS count, max(trace) AS example FROM
        (SELECT ServiceName, '' AS trace FROM ({_POINTS}) WHERE startsWith(MetricName, '{prefix}.')
        UNION ALL SELECT ServiceName, TraceId FROM {SPANS} WHERE startsWith(SpanName, '{prefix}.'))
        WHERE ServiceName NOT IN (SELECT application FROM {CALLS}) GROUP BY subject"""


_LOSS: Final = "metrics or spans arrive and no log events: one call is one event, so no call is counted"

RULES: Final = (
    Rule(
        name="claude_code.no_events",
        severity=Severity.LOST,
        sql=_no_calls("claude_code"),
        loss=_LOSS,
        mends={"": Mend("environment of Claude Code", "OTEL_LOGS_EXPORTER=otlp")},
        page="claude-code.md",
    ),
    Rule(
        name="codex.no_events",
        severity=Severity.LOST,
        sql=_no_calls("codex"),
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
        sql=_no_calls("gemini_cli"),
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
