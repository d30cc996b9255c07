"""What the ledger's calls do not say, or say twice, whoever reported them."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import NOWHERE, Mend, Rule, Severity
from otel_exporter.doctor.facts import CALLS, SEEN, SPANS

_WHO: Final = "if(gateway != '', 'the gateway', application) AS subject, if(gateway != '', 'proxy', 'sdk') AS side"
_TOKENTIDE: Final = "Tokentide's configuration"
#: Team and key are said by whoever holds the key, so an application's missing team is mended there.
_ALIASES: Final = f"(SELECT requested_model FROM {CALLS} WHERE gateway != '' AND requested_model != model)"
#: Calls with the second they started in and the next one, in which a gateway behind them would have started.
_SOON: Final = f"(SELECT *, toStartOfSecond(started_at) + toIntervalSecond(arrayJoin([0, 1])) AS near FROM {CALLS})"
_OF_CALLS: Final = "count() AS of, argMaxIf(trace_id, started_at, {condition}) AS example"


def _lacking(condition: str, where: str = "1") -> str:
    """How many calls fulfil ``condition``, by who could mend it."""
    return f"""SELECT {_WHO}, countIf({condition}) AS count, {_OF_CALLS.format(condition=condition)}
        FROM {CALLS} WHERE {where} GROUP BY subject, side HAVING count > 0"""


def _with_issue(issue: str) -> str:
    return _lacking(f"has(issues, '{issue}')")


RULES: Final = (
    Rule(
        name="calls.tokens_unknown",
        severity=Severity.LOST,
        sql=_lacking("has(issues, 'tokens_unknown')", "status = 'ok'"),
        loss="answered calls without token counts: a provider counts a stream's tokens only when asked to, so"
        " their cost is unknown (not zero)",
        mends={
            "proxy": Mend("LiteLLM's config.yaml", "general_settings: {{always_include_stream_usage: true}}"),
            "": Mend("the request, in {subject}", 'stream_options={{"include_usage": True}}'),
        },
        page="README.md#streams",
    ),
    Rule(
        name="calls.unpriced",
        severity=Severity.LOST,
        sql=f"""SELECT if(model != '', model, requested_model) AS subject, provider AS detail,
            count() AS count, argMax(trace_id, started_at) AS example
            FROM {CALLS} WHERE hasAny(issues, ['unpriced_model', 'unpriced_unit'])
            AND (gateway != '' OR requested_model = '' OR requested_model NOT IN {_ALIASES})
            GROUP BY subject, detail""",
        loss="nobody knows a price for this model of provider '{detail}': its cost is unknown (not zero)",
        mends={
            "": Mend(
                _TOKENTIDE,
                'prices: {{overrides: [{{models: "{subject}", per_million: {{input: <usd>, output: <usd>}}}}]}}',
            )
        },
        page="../prices.md",
    ),
    Rule(
        name="calls.alias",
        severity=Severity.LOST,
        sql=f"""SELECT application AS subject, count() AS count, argMax(trace_id, started_at) AS example,
            arrayStringConcat(arraySort(groupUniqArray(5)(requested_model)), ', ') AS detail
            FROM {CALLS} WHERE gateway = '' AND cost_usd IS NULL AND requested_model != ''
            AND requested_model IN {_ALIASES} GROUP BY subject""",
        loss="the client reports a gateway's alias ({detail}) as the model, which has no price, and its span is"
        " not joined with the gateway's: the same call may also be there as the gateway's",
        mends={
            "": Mend(
                "{subject}",
                "send traceparent to the gateway (instrument the HTTP client), and leave"
                " OTEL_IGNORE_CONTEXT_PROPAGATION unset there",
            )
        },
        page="litellm-proxy.md",
    ),
    Rule(
        name="calls.client_not_joined",
        severity=Severity.LOST,
        sql=f"""SELECT c.application AS subject, uniqExact(c.call_key) AS count,
            argMax(c.trace_id, c.started_at) AS example,
            arrayStringConcat(arraySort(groupUniqArrayArray(c.sources)), ', ') AS detail
            FROM {_SOON} AS c INNER JOIN {CALLS} AS g ON c.input_tokens = g.input_tokens
                AND c.output_tokens = g.output_tokens AND c.near = toStartOfSecond(g.started_at)
            WHERE c.gateway = '' AND g.gateway != '' AND c.trace_id != g.trace_id AND c.status = g.status
            AND c.started_at <= g.started_at AND c.ended_at >= g.ended_at
            AND (startsWith(c.model, g.model) OR c.model IN (g.requested_model, g.response_model)
                OR startsWith(g.model, c.model)) GROUP BY subject""",
        loss="calls that a client reports ({detail}) look like calls a gateway reports in another trace: same"
        " model, same tokens, one around the other. Nothing proves it (no shared id, no shared trace), so both"
        " are counted",
        mends={
            "": Mend(
                "{subject}",
                "send traceparent to the gateway (instrument the HTTP client), and leave"
                " OTEL_IGNORE_CONTEXT_PROPAGATION unset there",
            )
        },
        page="litellm-proxy.md",
    ),
    Rule(
        name="calls.reported_twice",
        severity=Severity.NOTE,
        sql=f"""SELECT ServiceName AS subject, if(startsWith(any(source), 'litellm'), 'litellm', '') AS side,
            uniqExact(call) AS count, argMax(TraceId, at) AS example,
            arrayStringConcat(arraySort(groupUniqArray(source)), ', ') AS detail
            FROM (SELECT o.call_key AS call, o.source AS source, s.ServiceName AS ServiceName, s.SpanName AS SpanName,
                    s.ScopeName AS ScopeName, any(s.TraceId) AS TraceId, max(s.Timestamp) AS at
                FROM {SEEN} AS o INNER JOIN
                    (SELECT DISTINCT TraceId, SpanId, ServiceName, SpanName, ScopeName, Timestamp FROM {SPANS}) AS s ON o.observation = concat(s.TraceId, '/', s.SpanId)
                GROUP BY call, source, ServiceName, SpanName, ScopeName HAVING uniqExact(s.TraceId, s.SpanId) > 1)
            GROUP BY subject""",
        loss="the same producer reports the same call more than once ({detail}); it is counted once, and costs"
        " twice to send. A callback is registered twice, or an exporter",
        mends={
            "litellm": Mend(
                "LiteLLM's config.yaml or code of {subject}",
                'name "otel" once: in callbacks only, not in success_callback or failure_callback as well',
            ),
            "": Mend("code of {subject}", "instrument each library once, and export each span once"),
        },
        page="README.md",
    ),
    Rule(
        name="calls.response_id_reused",
        severity=Severity.NOTE,
        sql=f"""SELECT provider AS subject, count() AS count, argMax(trace_id, started_at) AS example,
            arrayStringConcat(arraySort(groupUniqArray(5)(model)), ', ') AS detail
            FROM {CALLS} WHERE has(issues, 'response_id_reused') GROUP BY subject""",
        loss="answers of this provider ({detail}) come with ids used before; they are told apart by time and"
        " tokens, which is a guess when two are alike",
        mends={
            "": Mend(
                "the server behind it",
                "unique response ids; or ask it through a LiteLLM proxy, whose call id is unique",
            )
        },
        page="litellm-proxy.md",
    ),
    Rule(
        name="calls.cost_contradicted",
        severity=Severity.NOTE,
        sql=f"""SELECT model AS subject, count() AS count, argMax(trace_id, started_at) AS example,
            concat(toString(sum(cost_reported_usd)), ' reported, ', toString(sum(cost_local_usd)), ' by the price book')
            AS detail FROM {CALLS} WHERE NOT ifNull(cache_hit, false) AND cost_local_usd > 0
            AND abs(cost_reported_usd - cost_local_usd) > cost_local_usd / 100 GROUP BY subject""",
        loss="the reported cost and the price book differ by more than 1 % ({detail} dollars)",
        mends={
            "": Mend(
                _TOKENTIDE,
                "prices: {{charge: local}}    # charges the price book's; or correct the price that is wrong",
            )
        },
        page="../prices.md",
    ),
    Rule(
        name="calls.tokens_disagree",
        severity=Severity.NOTE,
        sql=_with_issue("tokens_disagree"),
        loss="what is said of one call's tokens does not agree (input + output is not the total, or two sources"
        " differ); the better source is believed",
        mends={
            "": Mend(NOWHERE, "nothing to change before somebody has looked at the example; the issue stays on the row")
        },
        page="README.md",
    ),
    Rule(
        name="calls.cache_convention",
        severity=Severity.NOTE,
        sql=_with_issue("cache_convention_contradicted"),
        loss="more cached tokens than input tokens: this producer counts them apart, against its convention; they"
        " were added up",
        mends={"": Mend(NOWHERE, "nothing to change: the numbers prove it; the issue stays on the row")},
        page="README.md",
    ),
    Rule(
        name="calls.generic",
        severity=Severity.NOTE,
        sql=_with_issue("generic_dialect"),
        loss="calls of a producer that nobody described to us: read by the conventions' words, and whether its input"
        " counts cached tokens is a guess from its numbers",
        mends={"": Mend(_TOKENTIDE, "a dialect of your own for {subject}")},
        page="README.md",
    ),
    Rule(
        name="calls.no_team",
        severity=Severity.MISSING,
        sql=_lacking("team = '' AND team_id = ''"),
        loss="calls without a team",
        mends={
            "proxy": Mend("the gateway's keys", "give each key a team: POST /key/update with its team_id"),
            "": Mend("environment of {subject}", "OTEL_RESOURCE_ATTRIBUTES=team=<team>"),
        },
        page="README.md",
    ),
    Rule(
        name="calls.no_key",
        severity=Severity.MISSING,
        sql=_lacking("api_key_hash IN ('', 'litellm_proxy_master_key')", "gateway = 'litellm'"),
        loss="calls through the gateway with its master key, or with no key that it names: nobody can be charged",
        mends={"": Mend("the gateway's keys", "a virtual key for each application: POST /key/generate")},
        page="litellm-proxy.md",
    ),
    Rule(
        name="calls.no_tags",
        severity=Severity.MISSING,
        sql=f"""SELECT {_WHO}, count() AS count, count() AS of, argMax(trace_id, started_at) AS example FROM {CALLS}
            GROUP BY subject, side HAVING countIf(notEmpty(tags)) = 0""",
        loss="no call carries tags",
        mends={
            "proxy": Mend(
                "the request to the gateway",
                'metadata: {{"tags": ["<tag>"]}} in its body    # LiteLLM v1 passes them on; v2 single values only',
            ),
            "": Mend(
                "environment of {subject}",
                "OTEL_RESOURCE_ATTRIBUTES=team=<team>,project=<project>    # for the whole application; tags of single"
                " requests: see the producer's page, not every one has a way",
            ),
        },
        page="README.md",
    ),
    Rule(
        name="calls.no_session",
        severity=Severity.MISSING,
        sql=f"""SELECT {_WHO}, count() AS count, count() AS of, argMax(trace_id, started_at) AS example FROM {CALLS}
            GROUP BY subject, side HAVING countIf(session_id != '') = 0""",
        loss="no call carries a session",
        mends={
            "proxy": Mend("the request to the gateway", "the header x-litellm-session-id: <session>"),
            "": Mend("code of {subject}", "the way its instrumentation takes a session: see the producer's page"),
        },
        page="README.md",
    ),
    Rule(
        name="spans.from_the_future",
        severity=Severity.NOTE,
        sql=f"""SELECT ServiceName AS subject, count() AS count, argMax(TraceId, Timestamp) AS example FROM {SPANS}
            WHERE Timestamp > now64(9) + INTERVAL 5 MINUTE GROUP BY subject""",
        loss="spans start in the future: a clock is wrong, and reports by day will be",
        mends={"": Mend("the machine of {subject}", "synchronise its clock (NTP)")},
        page="README.md",
    ),
)
