"""What LiteLLM's three callbacks lose, and which of its settings mends it.

Read in litellm 1.106.2 (`integrations/opentelemetry.py`, `integrations/otel/`) and seen in exports of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from otel_exporter.doctor.advice.rule import NOWHERE, Mend, Rule, Severity
from otel_exporter.doctor.facts import (
    RAW,
    RAW_HAS_ITS_CALL,
    SEMCONV,
    SIDE,
    SPANS,
    V1,
    V2,
    WITH_CALLBACK,
    has,
    says,
)

_ENVIRONMENT: Final = "environment of {subject}"
_PAGE: Final = "litellm-{side}.md"
_OWN_SPAN: Final = Mend(_ENVIRONMENT, "USE_OTEL_LITELLM_REQUEST_SPAN=true")
_SHOULD_EXIST: Final = "Timestamp < now64(9) - INTERVAL 5 MINUTE"
_PARENT_CAME: Final = f"(TraceId, ParentSpanId) IN (SELECT TraceId, SpanId FROM {SPANS})"
#: Several raw spans below one span that is no span of LiteLLM's own making.
_SHARED: Final = f"""(SELECT TraceId, ParentSpanId, ServiceName, any({SIDE}) AS side, max(Timestamp) AS Timestamp,
        count() AS raw FROM {SPANS} WHERE {RAW} AND (TraceId, ParentSpanId) IN
            (SELECT TraceId, SpanId FROM {SPANS} WHERE {V1} AND SpanName != 'litellm_request'
                AND (ScopeName != 'litellm' OR SpanName = 'Received Proxy Server Request'))
        GROUP BY TraceId, ParentSpanId, ServiceName HAVING raw > 1)"""
_ANSWERED: Final = f"{V1} AND StatusCode != 'Error' AND {has('gen_ai.usage.input_tokens', 'gen_ai.response.id')}"
_COUNTED: Final = "ServiceName AS subject, side, count() AS count, argMax(TraceId, Timestamp) AS example"
_PROMISED: Final = (
    "toUInt64(JSONExtractUInt(SpanAttributes['hidden_params'], 'additional_headers', 'x-litellm-attempted-retries')"
    " + JSONExtractUInt(SpanAttributes['hidden_params'], 'additional_headers', 'x-litellm-attempted-fallbacks'))"
)
_SELECTED: Final = "countEqual(Events.Name, 'litellm.request.deployment_selected')"
#: Metadata of a request without the client's headers; LiteLLM writes it as Python prints a dictionary.
_REQUESTER: Final = "replaceRegexpOne(SpanAttributes['metadata.requester_metadata'], ', .headers.: [{][^{}]*[}]', '')"
_KEYS: Final = f"extractAll({_REQUESTER}, '[{{,] ?.([A-Za-z0-9_-]+).: ')"
_KNOWN_KEYS: Final = "['tags', 'user_id', 'session_id', 'trace_id', 'headers', 'used_client_oauth_token']"

_RULES: Final = (
    Rule(
        name="litellm.calls_overwritten",
        severity=Severity.LOST,
        sql=f"""SELECT ServiceName AS subject, side, sum(raw - 1) AS count, sum(raw) AS of,
            argMax(TraceId, Timestamp) AS example FROM {_SHARED} GROUP BY subject, side""",
        loss="several calls were written on one span of the application, each over the one before: of all but the"
        " last, only the provider's raw answer is left (tokens and model), without reported cost, key, team,"
        " tags or failures",
        mends={"": _OWN_SPAN},
        page=_PAGE,
    ),
    Rule(
        name="litellm.request_span_lost",
        severity=Severity.LOST,
        sql=f"""SELECT ServiceName AS subject, {SIDE} AS side, countIf(NOT has_call) AS count, count() AS of,
            argMaxIf(TraceId, Timestamp, NOT has_call) AS example
            FROM (SELECT *, {RAW_HAS_ITS_CALL} AS has_call FROM {SPANS}
                WHERE {RAW} AND ({_PARENT_CAME} OR {_SHOULD_EXIST}))
            GROUP BY subject, side HAVING count > 0""",
        loss="the span with the call's attributes never came (a proxy with custom_auth loses it: LiteLLM writes on"
        " a span that has ended); only the provider's raw answer is left, without reported cost, key, user,"
        " tags or failures",
        mends={"": _OWN_SPAN},
        page=_PAGE,
    ),
    Rule(
        name="litellm.borrowed_span",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS}
            WHERE {_ANSWERED} AND ScopeName != 'litellm' AND (TraceId, SpanId) NOT IN
                (SELECT TraceId, ParentSpanId FROM {_SHARED})) GROUP BY subject, side""",
        loss="calls are written on a span of the application: its times are not the call's, and a second call"
        " inside the same span would overwrite the first",
        mends={"": _OWN_SPAN},
        page=_PAGE,
    ),
    Rule(
        name="litellm.attempts_hidden",
        severity=Severity.LOST,
        sql=f"""SELECT ServiceName AS subject, 'proxy' AS side, sum(told - seen) AS count, sum(told) AS of,
            argMax(TraceId, at) AS example
            FROM (SELECT TraceId, ServiceName, max(Timestamp) AS at,
                    max(greatest({_PROMISED} + toUInt64({V1}), {_SELECTED})) AS told,
                    countIf({V1} OR {V2}) AS seen
                FROM {SPANS} WHERE {SIDE} = 'proxy' GROUP BY TraceId, ServiceName HAVING told > seen)
            GROUP BY subject, side""",
        loss="LiteLLM says it tried a provider more often than there are spans: of a request's failed attempts it"
        " exports the first only, so the others are not in the ledger",
        mends={
            "": Mend(
                "config.yaml of LiteLLM, with deploy/litellm/tokentide_callback.py beside it",
                'litellm_settings: {{callbacks: ["otel", "tokentide_callback.handler"]}}',
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.v2_silent_when_sync",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {V2})
            WHERE side = 'sdk' GROUP BY subject, side""",
        loss="LiteLLM v2 exports asynchronous calls only: what this application asks with litellm.completion() is"
        " nowhere, and nothing here can show it",
        mends={
            "": Mend(
                _ENVIRONMENT, "unset LITELLM_OTEL_V2    # or call litellm.acompletion(); the proxy is not concerned"
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.content_off_drops_more",
        severity=Severity.MISSING,
        sql=f"""SELECT ServiceName AS subject, side, countIf(bare) AS count, count() AS of,
            argMaxIf(TraceId, Timestamp, bare) AS example
            FROM (SELECT *, {SIDE} AS side, NOT {has("gen_ai.operation.name")} AS bare FROM {SPANS} WHERE {_ANSWERED})
            GROUP BY subject, side HAVING count > 0""",
        loss="with message content switched off, LiteLLM v1 also leaves out the operation's name, the finish"
        " reasons and the tools",
        mends={
            "": Mend(
                _ENVIRONMENT,
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY    # and let Tokentide's"
                " content.policy: drop (the default) take the messages out before anything is stored",
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.metadata_unread",
        severity=Severity.MISSING,
        sql=f"""SELECT ServiceName AS subject, 'proxy' AS side, count() AS count, argMax(TraceId, Timestamp) AS example,
            arrayStringConcat(arrayMap(k -> concat('requester_metadata.', k),
                arraySlice(arraySort(groupUniqArrayArray(unread)), 1, 20)), ',') AS detail
            FROM (SELECT *, arrayFilter(k -> NOT has({_KNOWN_KEYS}, k)
                    AND NOT mapContains(SpanAttributes, concat('litellm.metadata.', k)), {_KEYS}) AS unread
                FROM {SPANS} WHERE {V1} AND {says("metadata.requester_metadata")})
            WHERE notEmpty(unread) GROUP BY subject, side""",
        loss="metadata of requests arrives inside one text only, where no query and no dashboard can group by it",
        mends={
            "": Mend(
                _ENVIRONMENT,
                "LITELLM_OTEL_BAGGAGE_METADATA_KEYS={detail}    # single values only: lists do not pass",
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.v2_no_metadata",
        severity=Severity.MISSING,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side, arrayExists(k -> startsWith(k, 'litellm.metadata.')
                AND NOT startsWith(k, 'litellm.metadata.user_api_key_'), mapKeys(SpanAttributes)) AS told
            FROM {SPANS} WHERE {V2}) WHERE side = 'proxy' GROUP BY subject, side HAVING countIf(told) = 0""",
        loss="LiteLLM v2 leaves out the metadata of requests unless each key is named; tags are a list and never pass",
        mends={
            "": Mend(
                _ENVIRONMENT,
                "LITELLM_OTEL_BAGGAGE_METADATA_KEYS=user_api_key_org_id,user_api_key_user_id,user_api_key_alias,"
                "user_api_key_end_user_id,requester_metadata.<key>    # the first four are the default, which this"
                " replaces",
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.environment_forced",
        severity=Severity.MISSING,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {V1}
            AND ResourceAttributes['model_id'] != '' AND ResourceAttributes['deployment.environment'] = 'production'
            AND ResourceAttributes['deployment.environment.name'] = '') GROUP BY subject, side""",
        loss="LiteLLM calls every environment production unless told otherwise, so that is not believed and the"
        " environment is unknown",
        mends={"": Mend(_ENVIRONMENT, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=<environment>")},
        page=_PAGE,
    ),
    Rule(
        name="litellm.values_cut",
        severity=Severity.LOST,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {V1} AND arrayExists(
            k -> startsWith(SpanAttributes[k], '{{') AND NOT endsWith(SpanAttributes[k], '}}'),
            ['hidden_params', 'metadata.usage_object', 'metadata.requester_metadata'])) GROUP BY subject, side""",
        loss="long attribute values arrive cut, so what they hold (cached and reasoning tokens, metadata,"
        " deployment) cannot be read",
        mends={
            "": Mend(_ENVIRONMENT, "unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.python_repr",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {V1} AND NOT {SEMCONV}
            AND startsWith(SpanAttributes['metadata.usage_object'], '{{''')) GROUP BY subject, side""",
        loss="LiteLLM v1 sends cached, reasoning and audio tokens only inside a Python dictionary's text;"
        " Tokentide reads it (up to 64 KiB), other readers of otel_traces do not",
        mends={"": Mend(NOWHERE, "nothing to change: genai_calls has them as columns")},
        page=_PAGE,
    ),
    Rule(
        name="litellm.no_time_to_first_token",
        severity=Severity.MISSING,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {_ANSWERED}
            AND 'true' IN (lower(SpanAttributes['llm.is_streaming']), SpanAttributes['gen_ai.request.stream']))
            GROUP BY subject, side""",
        loss="LiteLLM v1's spans do not say when a stream's first token came (ttft_ms is unknown)",
        mends={
            "proxy": Mend(
                _ENVIRONMENT,
                "LITELLM_OTEL_V2=true    # per call; or LITELLM_OTEL_INTEGRATION_ENABLE_METRICS=true, a histogram",
            ),
            "": Mend(_ENVIRONMENT, "LITELLM_OTEL_INTEGRATION_ENABLE_METRICS=true    # as a histogram only"),
        },
        page=_PAGE,
    ),
    Rule(
        name="litellm.no_metrics",
        severity=Severity.NOTE,
        sql=f"""SELECT {_COUNTED} FROM (SELECT *, {SIDE} AS side FROM {SPANS} WHERE {V1} OR {V2})
            WHERE subject NOT IN (SELECT DISTINCT ServiceName FROM otel_metrics_histogram
                WHERE ScopeName IN ('litellm', 'litellm.integrations.opentelemetry')) GROUP BY subject, side""",
        loss="LiteLLM sends no metrics; the ledger needs none, a Prometheus-style dashboard would",
        mends={"": Mend(_ENVIRONMENT, "LITELLM_OTEL_INTEGRATION_ENABLE_METRICS=true")},
        page=_PAGE,
    ),
)

#: What these find missing in spans, Tokentide's callback tells.
_TOLD_BY_CALLBACK: Final = frozenset(
    {
        "litellm.calls_overwritten",
        "litellm.request_span_lost",
        "litellm.borrowed_span",
        "litellm.attempts_hidden",
        "litellm.v2_silent_when_sync",
        "litellm.content_off_drops_more",
        "litellm.metadata_unread",
        "litellm.v2_no_metadata",
    }
)
RULES: Final = tuple(
    replace(rule, sql=f"SELECT * FROM ({rule.sql}) WHERE subject NOT IN {WITH_CALLBACK}")
    if rule.name in _TOLD_BY_CALLBACK
    else rule
    for rule in _RULES
)
