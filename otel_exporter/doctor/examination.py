"""Asks every question about what arrived, and collects the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from otel_exporter.asking import Ask, table
from otel_exporter.doctor import shapes
from otel_exporter.doctor.advice import RULES, Finding, Rule
from otel_exporter.doctor.advice.rule import MOST_SUBJECTS
from otel_exporter.doctor.facts import LOGS, PROBE_SERVICE, SEEN, SIDE, SINCE, SPANS

_SDK: Final = """arrayStringConcat(arrayMap(part -> ResourceAttributes[concat('telemetry.sdk.', part)],
    ['language', 'name', 'version']), ' ')"""
_GROUPED: Final = "GROUP BY shape, side, service, scope, version, sdk"
_OF_SPANS: Final = f"""SELECT shape, if(startsWith(shape, 'litellm.'), where_it_ran, '') AS side, 'traces' AS signal,
    ServiceName AS service, ScopeName AS scope, {shapes.version()} AS version, {_SDK} AS sdk,
    count() AS records, uniqExactIf(call_key, call_key != '') AS calls,
    arraySort(groupUniqArrayIf(source, source != '')) AS read_as, max(Timestamp) AS last_seen
    FROM (SELECT *, {shapes.of_spans()} AS shape, {SIDE} AS where_it_ran, concat(TraceId, '/', SpanId) AS observation
        FROM {SPANS}) AS span LEFT JOIN {SEEN} AS seen ON span.observation = seen.observation
    WHERE shape != '' {_GROUPED}"""
#: An observation from a log record is named by trace, span and nanosecond, then by what it says.
_RECORD: Final = "arrayStringConcat(arraySlice(splitByChar('/', observation), 1, 4), '/')"
_OF_RECORDS: Final = f"""SELECT shape, '' AS side, 'logs' AS signal, ServiceName AS service, ScopeName AS scope,
    {shapes.version()} AS version, {_SDK} AS sdk, count() AS records,
    uniqExactIf(call_key, call_key != '') AS calls,
    arraySort(groupUniqArrayIf(source, source != '')) AS read_as, max(Timestamp) AS last_seen
    FROM (SELECT *, {shapes.of_records()} AS shape,
        concat('log/', TraceId, '/', SpanId, '/', toString(toUnixTimestamp64Nano(Timestamp))) AS record
        FROM {LOGS}) AS log
    LEFT JOIN (SELECT DISTINCT call_key, source, {_RECORD} AS record
        FROM {SEEN} WHERE startsWith(observation, 'log/')) AS seen ON log.record = seen.record
    WHERE shape != '' {_GROUPED}"""
_POINTS: Final = " UNION ALL ".join(
    f"SELECT ServiceName, ScopeName, ScopeVersion, MetricName, ResourceAttributes, TimeUnix FROM otel_metrics_{kind}"
    f" WHERE TimeUnix >= {SINCE}"
    for kind in ("sum", "histogram", "gauge", "exponential_histogram")
)
_OF_METRICS: Final = f"""SELECT shape, '' AS side, 'metrics' AS signal, ServiceName AS service, ScopeName AS scope,
    {shapes.version()} AS version, {_SDK} AS sdk,
    count() AS records, toUInt64(0) AS calls, CAST([], 'Array(String)') AS read_as, max(TimeUnix) AS last_seen
    FROM (SELECT *, {shapes.of_metrics()} AS shape FROM ({_POINTS})) WHERE shape != '' {_GROUPED}"""
_EMITTERS: Final = f"""SELECT * FROM ({_OF_SPANS} UNION ALL {_OF_RECORDS} UNION ALL {_OF_METRICS})
    ORDER BY calls DESC, records DESC, shape, service"""
_TOTAL: Final = f"""SELECT (SELECT count() FROM {SPANS}) AS spans, (SELECT count() FROM {LOGS}) AS records,
    (SELECT count() FROM genai_calls WHERE started_at >= {SINCE}) AS calls,
    (SELECT toString(max(Timestamp)) FROM otel_traces WHERE ServiceName != '{PROBE_SERVICE}') AS last_span"""


@dataclass(frozen=True)
class Emitter:
    """One way in which one service describes calls.

    Attributes:
        shape, title: short and long name.
        side: ``proxy`` or ``sdk`` where LiteLLM sent it.
        signal: traces, logs or metrics.
        service, scope, version, sdk: as it names itself; '' where it does not.
        records: spans, log records or points; calls: the ledger's calls they are part of.
        read_as: the dialects that read them.
    """

    shape: str
    title: str
    side: str
    signal: str
    service: str
    scope: str
    version: str
    sdk: str
    records: int
    calls: int
    read_as: Sequence[str]
    last_seen: str
    page: str


@dataclass(frozen=True)
class Examination:
    """What arrived since ``since``, and what is wrong with it."""

    since: datetime
    spans: int
    records: int
    calls: int
    last_span: str
    emitters: Sequence[Emitter] = field(default=())
    findings: Sequence[Finding] = field(default=())


def examine(ask: Ask, since: datetime, rules: Sequence[Rule] = RULES) -> Examination:
    """Look at everything that came at or after ``since``."""
    parameters = {"since": since.astimezone(UTC).isoformat()}
    total = next(_rows(ask, _TOTAL, parameters))
    emitters = [_emitter(row) for row in _rows(ask, _EMITTERS, parameters)]
    findings = [finding for rule in rules for finding in _findings(ask, rule, parameters)]
    return Examination(since=since, emitters=emitters, findings=findings, **total)


def _findings(ask: Ask, rule: Rule, parameters: Mapping[str, str]) -> list[Finding]:
    answer = _rows(ask, f"SELECT * FROM ({rule.sql}) ORDER BY count DESC, subject LIMIT {MOST_SUBJECTS}", parameters)
    return [rule.finding(row) for row in answer]


def _emitter(row: Mapping[str, Any]) -> Emitter:
    shape = shapes.TITLES[row["shape"]]
    where = {"proxy": " on a proxy", "sdk": " in an application"}.get(row["side"], "")
    page = "docs/clients/" + shape.page.format(side=row["side"])
    said = {**row, "sdk": row["sdk"].strip(), "title": shape.title + where, "page": page}
    return Emitter(**said)


def _rows(ask: Ask, sql: str, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    answer = table(ask, sql, parameters)
    for row in answer.rows:
        yield dict(zip(answer.columns, row, strict=True))
