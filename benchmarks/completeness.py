"""How long `genai_completeness` and `genai_silence` take over days of counters and calls.

``python -m benchmarks.completeness [CALLS A DAY] [DIRECTORY]``: 160,000 calls a day (5 M a month) of 20 services for 14
days, each with what its observation said; beside them each service's counters, twelve series exported once a minute
(cumulative histograms, with resource attributes as SDKs send them): 4.8 M points.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import ONE_BLOCK, Store

DAYS, SERVICES, REPEATS = 14, 20, 5
END = 1_795_132_800
_CALLS = """
INSERT INTO otel.genai_ledger (call_key, started_at, ended_at, tenant, application, provider, model, requested_model,
  response_model, status, input_tokens, output_tokens, cost_usd, sources, said, observations, posted_at, version, sign)
SELECT toString(sipHash64(n)) AS key, toDateTime64(DAY, 9, 'UTC') + toIntervalMillisecond(rand64(1) % 86400000) AS at,
  at + toIntervalSecond(2), 'acme', concat('app-', toString(n % SERVICES)) AS app, 'openai', concat('model-', toString(n % 4)) AS m,
  m, m, if(n % 50, 'ok', 'error'), 500 + n % 4000 AS input, 100 + n % 900 AS output, toDecimal128(input * 1e-6, 12), ['otel.genai'],
  [map('observation_id', concat(key, '/', hex(n)), 'tenant', 'acme', 'source', 'otel.genai', 'role', 'call', 'application', app,
    'environment', 'production', 'host', concat('host-', toString(n % 9)), 'provider', 'openai', 'operation', 'chat', 'requested_model', m,
    'response_model', m, 'response_id', concat('chatcmpl-', hex(sipHash128(n))), 'status', 'ok', 'input_tokens', toString(input),
    'output_tokens', toString(output), 'started_at', toString(at), 'ended_at', toString(at), 'trace_id', hex(sipHash128(n, 1)),
    'span_id', hex(sipHash64(n, 2)), 'keys', concat('id:', hex(sipHash128(n))))], 1, now64(3, 'UTC'), n, 1
FROM (SELECT number + OFFSET AS n FROM numbers(COUNT))
"""
_POINTS = """
INSERT INTO otel.otel_metrics_histogram (ResourceAttributes, ScopeName, ServiceName, MetricName, Attributes, StartTimeUnix,
  TimeUnix, Count, Sum, BucketCounts, ExplicitBounds, AggregationTemporality)
SELECT map('service.name', app, 'service.instance.id', hex(sipHash128(service)), 'telemetry.sdk.language', 'python',
    'telemetry.sdk.name', 'opentelemetry', 'telemetry.sdk.version', '1.38.0', 'host.name', 'host-1'), 'opentelemetry.util.genai',
  concat('app-', toString(service)) AS app, ['gen_ai.client.operation.duration', 'gen_ai.client.token.usage', 'gen_ai.client.token.usage'][1 + what] AS name,
  mapConcat(map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', 'openai', 'gen_ai.request.model', m, 'gen_ai.response.model', m,
    'server.address', 'api.openai.com', 'server.port', '443'),
    if(what = 0, map(), map('gen_ai.token.type', ['input', 'output'][what]))), toDateTime64(FIRST, 9, 'UTC'),
  toDateTime64(DAY, 9, 'UTC') + toIntervalMinute(minute) AS at, dateDiff('minute', toDateTime64(FIRST, 9, 'UTC'), at) AS grown,
  grown * 700., arrayMap(i -> intDiv(grown, i + 1), range(14)), [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96], 2
FROM (SELECT intDiv(number, 12 * SERVICES) AS minute, number % SERVICES AS service, intDiv(number, SERVICES) % 3 AS what,
  concat('model-', toString(intDiv(number, 3 * SERVICES) % 4)) AS m FROM numbers(1440 * 12 * SERVICES))
"""


def fill(store: Store, calls_a_day: int) -> None:
    """Days of calls and counters, a part a day."""
    runner.apply(store)
    settings = ", ".join(
        f"{name} = {value}" for name, value in ONE_BLOCK.items() if name != "input_format_parallel_parsing"
    )
    first = END - DAYS * 86400
    for day in range(DAYS):
        words = {"DAY": first + day * 86400, "FIRST": first, "OFFSET": day * calls_a_day, "COUNT": calls_a_day}
        for statement in (_CALLS, _POINTS):
            store.command(f"{_with(statement, {**words, 'SERVICES': SERVICES})} SETTINGS {settings}")


def _with(statement: str, words: Mapping[str, int]) -> str:
    for word, value in words.items():
        statement = statement.replace(word, str(value))
    return statement


def measure(store: Store) -> None:
    """The median of some runs, for each length of time."""
    for hours in (1, 3, 24, 48, 24 * 7, 24 * DAYS):
        sql = f"""SELECT counted_by, source, model, measure, sum(expected), sum(missing)
            FROM otel.genai_completeness(since = toDateTime({END - hours * 3600}), until = toDateTime({END})) GROUP BY ALL"""
        print(f"genai_completeness, {hours:4} h: {_seconds(store, sql):6.3f} s")
    sql = f"SELECT * FROM otel.genai_silence(now = toDateTime({END}))"
    print(f"genai_silence            : {_seconds(store, sql):6.3f} s")


def _seconds(store: Store, sql: str) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        store.raw(sql, "Null")
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    """Fill a database, unless the directory has one, and ask it."""
    calls_a_day = int(sys.argv[1]) if len(sys.argv) > 1 else 160_000
    directory = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="completeness-"))
    is_new = not (directory / "clickhouse").exists()
    with Store.embedded(directory) as store:
        if is_new:
            fill(store, calls_a_day)
        measure(store)


if __name__ == "__main__":
    main()
