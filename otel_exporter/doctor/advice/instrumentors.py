"""What the instrumentations of SDKs lose, by library."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import CALLS, SEEN, SPANS, has

_COUNTED: Final = "ServiceName AS subject, count() AS count, argMax(TraceId, Timestamp) AS example"
_OPENAI_V2: Final = "(startsWith(ScopeName, 'opentelemetry.instrumentation.openai_v2') OR (ScopeName ="
_ANTHROPIC: Final = (
    "match(ScopeName, '^(openinference|openlit|opentelemetry)[.]instrumentation[.](genai[.])?anthropic')"
)
#: Operations that repeat the totals of the calls inside them.
_AGGREGATES: Final = "('invoke_agent', 'create_agent', 'execute_tool', 'invoke_workflow', 'invoke_agent_step')"

_USAGE: Final = has("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")

RULES: Final = (
    Rule(
        name="usage_unread",
        severity=Severity.LOST,
        sql=f"""SELECT ScopeName AS subject, count() AS count, argMax(TraceId, Timestamp) AS example,
            arrayStringConcat(arraySort(groupUniqArray(5)(SpanName)), ', ') AS detail
            FROM {SPANS} WHERE {_USAGE}
            AND SpanAttributes['gen_ai.operation.name'] NOT IN {_AGGREGATES}
            AND SpanAttributes['openinference.span.kind'] NOT IN ('AGENT', 'CHAIN', 'TOOL')
            AND concat(TraceId, '/', SpanId) NOT IN (SELECT observation FROM {SEEN})
            GROUP BY subject""",
        loss="spans ({detail}) carry token counts and are read as no call: nobody told us what they are, or they"
        " repeat other spans' totals",
        mends={
            "": Mend(
                "the producer",
                "gen_ai.operation.name, gen_ai.provider.name and gen_ai.request.model on the span;"
                " or a dialect of your own",
            )
        },
        page="README.md",
    ),
    Rule(
        name="openlit.cost_zero",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM {SPANS} WHERE startsWith(ScopeName, 'openlit.')
            AND toFloat64OrNull(SpanAttributes['gen_ai.usage.cost']) = 0
            AND toFloat64OrZero(SpanAttributes['gen_ai.usage.input_tokens']) > 0 GROUP BY subject""",
        loss="OpenLIT reports a cost of 0 for calls with tokens: it did not get its price file, or the model is"
        " not in it. 0 is not believed; the price book prices these calls",
        mends={
            "": Mend(
                "code of {subject}",
                'openlit.init(pricing_json="<path or URL of a price file>")    # or let it reach its own on GitHub',
            )
        },
        page="openlit.md",
    ),
    Rule(
        name="openlit.http_only",
        severity=Severity.LOST,
        sql=f"""SELECT {_COUNTED} FROM {SPANS} WHERE ResourceAttributes['telemetry.sdk.name'] = 'openlit'
            AND match(ScopeName, 'httpx|requests|aiohttp') AND ParentSpanId = ''
            AND match(concat(SpanAttributes['http.url'], SpanAttributes['url.full']),
                '/(responses|chat/completions|completions|embeddings|messages)([?].*)?$') GROUP BY subject""",
        loss="requests to a model arrive as plain HTTP spans only: OpenLIT does not instrument this way of calling"
        " (litellm.responses(), for one), so model, tokens and cost are unknown",
        mends={"": Mend("code of {subject}", "the instrumentation of the SDK underneath, or LiteLLM's own callback")},
        page="openlit.md",
    ),
    Rule(
        name="openai_v2.gaps",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM {SPANS} WHERE {_OPENAI_V2} 'opentelemetry.util.genai.handler'
            AND SpanAttributes['gen_ai.provider.name'] = 'openai')) GROUP BY subject""",
        loss="this instrumentation says nothing of cached and reasoning tokens or of streaming, and nothing at all"
        " of the Responses API: cached input is priced as fresh",
        mends={
            "": Mend(
                "packages of {subject}",
                "opentelemetry-instrumentation-genai-openai >= 1.3b0, not opentelemetry-instrumentation-openai-v2",
            )
        },
        page="otel-genai.md",
    ),
    Rule(
        name="openinference.no_response_id",
        severity=Severity.NOTE,
        sql=f"""SELECT application AS subject, countIf(response_id = '') AS count, count() AS of,
            argMaxIf(trace_id, started_at, response_id = '') AS example FROM {CALLS}
            WHERE arrayExists(source -> startsWith(source, 'openinference'), sources) AND status = 'ok'
            GROUP BY subject HAVING count > 0""",
        loss="OpenInference has no attribute for the answer's id, and these spans' output does not hold it either"
        " (it is hidden, or this instrumentor leaves it out): a call that another producer reports too is"
        " recognised by its trace only",
        mends={
            "": Mend(
                "environment of {subject}",
                "unset OPENINFERENCE_HIDE_OUTPUTS    # and send traceparent to a gateway: within a trace they are joined",
            )
        },
        page="openinference.md",
    ),
    Rule(
        name="anthropic.own_spans_too",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM {SPANS} WHERE startsWith(ScopeName, 'com.anthropic.sdk')
            AND ServiceName IN (SELECT ServiceName FROM {SPANS} WHERE {_ANTHROPIC}) GROUP BY subject""",
        loss="the Anthropic SDK (2.11 and newer) sends spans of its own beside the instrumentation's: two per"
        " call. They are counted as one, and cost twice to send",
        mends={"": Mend("environment of {subject}", "ANTHROPIC_OPEN_TELEMETRY=false    # or drop the instrumentation")},
        page="otel-genai.md",
    ),
)
