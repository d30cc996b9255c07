"""What should have arrived and did not: the sender's own counters, its habits, and costs that an upgrade lost."""

from __future__ import annotations

from typing import Final

from otel_exporter.doctor.advice.rule import Mend, Rule, Severity
from otel_exporter.doctor.facts import CALLS, LOGS, SINCE, SPANS

_PAGE: Final = "../completeness.md"
_FROM: Final = f"toDateTime(least(greatest({SINCE}, toDateTime64(86400, 9, 'UTC')), now64(9, 'UTC')), 'UTC')"
#: Counters are exported once a minute or so: what is that small may be on its way.
_MATTERS: Final = "lacking >= 3 AND lacking >= counted / 50"
#: Of calls where they are counted, else of the tokens that were written. Tokentide's callback has a rule of its own, and
#: so have coding agents of which nothing but metrics arrives.
_LACKING: Final = f"""SELECT source AS subject, measure IN ('calls', 'failed_calls') AS of_calls,
    sum(expected_part) AS counted, sum(greatest(missing_part, 0)) AS lacking, sum(seen_part) AS arrived
    FROM (SELECT source, measure, sum(expected) AS expected_part, sum(missing) AS missing_part, sum(seen) AS seen_part
        FROM genai_completeness(since = {_FROM}, until = toDateTime(now(), 'UTC'))
        WHERE counted_by = 'metrics' AND measure IN ('calls', 'failed_calls', 'output_tokens')
        GROUP BY source, measure)
    GROUP BY subject, of_calls HAVING {_MATTERS} ORDER BY of_calls DESC LIMIT 1 BY subject"""
_SILENCE: Final = f"""SELECT name AS subject, kind AS side, calls AS count,
    concat(toString(last_active), ' UTC; it was never quiet for more than ', toString(usual_gap_hours), ' h') AS detail
    FROM genai_silence(now = toDateTime(now(), 'UTC'))
    WHERE times >= 3 AND active_hours >= 10 AND last_active >= first_active + INTERVAL 7 DAY
        AND {SINCE} <= now64(9, 'UTC')"""
#: The program's own version and that of the library that describes its calls.
_VERSION: Final = "trimBoth(concat(ResourceAttributes['service.version'], ' ', ScopeName, ' ', ScopeVersion))"
_UNPRICED: Final = f"""(SELECT application FROM {CALLS} WHERE status = 'ok'
    GROUP BY application HAVING countIf(cost_usd IS NULL) >= 3)"""
#: A record of the logs is named by its first four parts, then by what it says.
_NAME: Final = "if(startsWith(id, 'log/'), arrayStringConcat(arraySlice(splitByChar('/', id), 1, 4), '/'), id)"
_TOLD: Final = f"""(SELECT ServiceName AS service, {_VERSION} AS version, concat(TraceId, '/', SpanId) AS name
        FROM {SPANS} WHERE ServiceName IN {_UNPRICED}
    UNION ALL SELECT ServiceName AS service, {_VERSION} AS version,
        concat('log/', TraceId, '/', SpanId, '/', toString(toUnixTimestamp64Nano(Timestamp))) AS name
        FROM {LOGS} WHERE ServiceName IN {_UNPRICED})"""
_CALLS_BY_VERSION: Final = f"""SELECT service, version, uniqExact(call_key) AS told, uniqExactIf(call_key, unpriced) AS lost,
    min(started_at) AS since, argMaxIf(trace_id, started_at, unpriced) AS trace
    FROM (SELECT call_key, started_at, trace_id, cost_usd IS NULL AS unpriced, {_NAME} AS name
        FROM (SELECT call_key, started_at, trace_id, cost_usd, arrayJoin(observation_ids) AS id FROM genai_ledger FINAL
            WHERE sign = 1 AND status = 'ok' AND started_at >= {SINCE})) AS c
    INNER JOIN {_TOLD} AS t ON t.name = c.name GROUP BY service, version"""

RULES: Final = (
    Rule(
        name="completeness.calls_missing",
        severity=Severity.LOST,
        sql=f"""SELECT subject, toUInt64(round(lacking)) AS count, toUInt64(round(counted)) AS of,
            if(of_calls, 'calls', 'output tokens') AS detail,
            if(arrived > 0, '', 'nothing') AS side FROM ({_LACKING})
            WHERE arrived > 0 OR NOT match(subject, '^(claude-code|codex|gemini)')""",
        loss="its own metrics counted more {detail} than came here as spans or log records: the others are sampled"
        " away, or dropped where they are made or passed on",
        mends={
            "": Mend(
                "environment of {subject}",
                "OTEL_TRACES_SAMPLER=parentbased_always_on OTEL_BSP_MAX_QUEUE_SIZE=16384    # and no sampling of these"
                " spans in a Collector before us",
            ),
            "nothing": Mend("environment of {subject}", "OTEL_TRACES_EXPORTER=otlp    # only its metrics arrive"),
        },
        page=_PAGE,
    ),
    Rule(
        name="completeness.silent",
        severity=Severity.LOST,
        sql=f"SELECT * FROM ({_SILENCE}) WHERE side = 'application'",
        loss="an application that sent regularly is silent since {detail}",
        mends={
            "": Mend(
                "environment of {subject}",
                "OTEL_EXPORTER_OTLP_ENDPOINT=<where Tokentide listens>    # unless it is switched off: its log says why"
                " it cannot export",
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="completeness.key_silent",
        severity=Severity.NOTE,
        sql=f"SELECT * FROM ({_SILENCE}) WHERE side = 'key'",
        loss="a key that was used regularly is unused since {detail}",
        mends={
            "": Mend(
                "the gateway's keys",
                "POST /key/block with it if nobody needs it any more; else ask its owner: it may have been replaced",
            )
        },
        page=_PAGE,
    ),
    Rule(
        name="completeness.cost_lost_with_version",
        severity=Severity.LOST,
        sql=f"""SELECT new.service AS subject, new.lost AS count, new.told AS of, new.trace AS example,
            concat(new.version, ', ', old.version) AS detail
            FROM ({_CALLS_BY_VERSION}) AS new INNER JOIN ({_CALLS_BY_VERSION}) AS old ON new.service = old.service
            WHERE new.since > old.since AND new.lost >= 3 AND new.lost * 2 >= new.told
            AND old.told >= 3 AND old.lost * 20 <= old.told
            ORDER BY old.since DESC LIMIT 1 BY subject""",
        loss="calls have no cost since an upgrade (versions now and before: {detail})",
        mends={
            "": Mend(
                "Tokentide's configuration, or {subject}",
                'prices: {{overrides: [{{models: "<model>", per_million: {{input: <usd>, output: <usd>}}}}]}}    # and'
                " tokentide reprice; or the version before, if the new one no longer says tokens or model",
            )
        },
        page=_PAGE,
    ),
)
