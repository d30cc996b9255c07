"""How long every query of the dashboards takes over millions of calls, parts as live ingest leaves them.

``python -m benchmarks.dashboards [CALLS] [DIRECTORY]``: 5,000,000 calls over 90 days by default, 5 % of them corrected
once (a reversal and a new entry, posted later). The queries are those of the JSON files, with the time range 90 days
(pages that read a day or two by default: theirs as well), everything chosen.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse_schema import runner
from clickhouse_schema.store import ONE_BLOCK, Store
from grafana.generate import FOLDER
from grafana.macros import ALL, Window, expand

DAYS = 90
END = datetime(2026, 11, 20, tzinfo=UTC)
REPEATS = 3
CHUNK_HOURS = 24
#: 200 users of 20 teams, used unevenly; each team has 3 applications, 5 keys, and uses a handful of 16 models.
_CALLS = """
INSERT INTO otel.genai_ledger (call_key, request_key, is_final, started_at, ended_at, duration_ms, ttft_ms, gateway_overhead_ms,
  tenant, team, team_id, project, user_id, end_user, api_key_alias, api_key_hash, application, environment, session_id, agent, provider,
  operation, requested_model, model, deployment_id, gateway, streaming, status, error_type, error_code, input_tokens,
  cache_read_tokens, output_tokens, cost_usd, cost_input_usd, cost_output_usd, cost_source, cost_local_usd, price_version,
  trace_id, observations, sources, issues, posted_at, version, sign)
SELECT toString(sipHash64(n, 1)) AS call_key, call_key, true,
  toDateTime64(START, 9, 'UTC') + toIntervalMillisecond(rand64(1) % SPAN) AS started_at, started_at + toIntervalMillisecond(toUInt64(duration)),
  exp(6.5 + randNormal(0, 0.8)) AS duration, if(n % 2, duration / 4, NULL), 3 + rand(2) % 9,
  'acme', concat('team-', toString(u % 20)) AS team, team, concat('project-', toString(u % 7)), concat('user-', toString(u)),
  concat('customer-', toString(rand(9) % 500)), concat('key-', toString(u % 100)), concat('hash-', toString(u % 100)),
  concat('app-', toString(u % 60)), ['prod', 'staging'][1 + (rand(3) % 10 = 0)], concat('session-', toString(intDiv(n, 12))),
  if(u % 4 = 0, concat('agent-', toString(u % 5)), ''), ['openai', 'anthropic', 'aws.bedrock', 'azure.ai.openai'][1 + m % 4],
  'chat', concat('group-', toString(m % 8)), concat('model-', toString(m)), concat('deployment-', toString(m)), 'litellm', n % 2,
  if(failed, 'error', 'ok'), if(failed, ['RateLimitError', 'Timeout', 'InternalServerError'][1 + rand(5) % 3], ''), if(failed, '429', ''),
  if(failed, NULL, 200 + rand(6) % 4000) AS input, if(failed OR n % 3, 0, intDiv(input, 2)), if(failed, NULL, 20 + rand(7) % 900),
  if(failed, 0, toDecimal128(input * 1e-6, 12)) AS cost, cost, 0, 'gateway', cost, 'prices-1',
  lower(hex(sipHash128(n, 2))), 1, [['litellm.v1'], ['openinference.openai'], ['litellm.v1', 'openlit.openai']][1 + n % 3],
  if(rand(8) % 200 = 0, ['tokens_unknown'], []), now64(3, 'UTC'), n, 1
FROM (
  SELECT number + OFFSET AS n, toUInt32(200 * pow(rand(10) / 4294967296, 2)) AS u, (u * 3 + rand(11) % 4) % 16 AS m,
    rand(12) % 50 = 0 AS failed
  FROM numbers(COUNT)
)
"""
_CORRECTED = """
INSERT INTO otel.genai_ledger
SELECT * REPLACE (arrayJoin([-1, 1]) AS sign, if(sign = 1, e.version + 1000000000, e.version) AS version, now64(3, 'UTC') AS posted_at)
FROM otel.genai_ledger AS e WHERE e.version % 20 = 0 AND toYYYYMM(e.started_at) = MONTH AND e.version < 1000000000
"""


def fill(store: Store, calls: int) -> None:
    """Calls in order of time, then the corrections."""
    chunks = DAYS * 24 // CHUNK_HOURS
    settings = " SETTINGS " + ", ".join(f"{name} = {value}" for name, value in ONE_BLOCK.items())
    for chunk in range(chunks):
        start = END - timedelta(days=DAYS) + timedelta(hours=chunk * CHUNK_HOURS)
        words = {"START": f"'{start:%Y-%m-%d %H:%M:%S}'", "SPAN": str(CHUNK_HOURS * 3_600_000)}
        words |= {"OFFSET": str(chunk * (calls // chunks)), "COUNT": str(calls // chunks)}
        sql = _CALLS
        for word, value in words.items():
            sql = sql.replace(word, value)
        store.command(sql + settings)
    for month in store.arrow("SELECT DISTINCT toYYYYMM(started_at) AS month FROM otel.genai_ledger")["month"]:
        store.command(_CORRECTED.replace("MONTH", str(month)) + settings)


def queries(store: Store) -> Iterator[tuple[str, str]]:
    """Every query of every panel, variable and annotation, for 90 days."""
    for file in sorted(FOLDER.glob("*.json")):
        board = json.loads(file.read_text(encoding="utf-8"))
        start = END - timedelta(days=DAYS)
        at = Window(start, END, DAYS * 86400 // 1000)
        chosen: dict[str, str] = {}
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                sql = expand(variable["query"]["rawSql"], at, chosen)
                yield f"{file.stem}/${variable['name']}", sql
                answer = store.arrow(sql).to_series().to_list()
                chosen[variable["name"]] = ALL if variable["includeAll"] else str(next(iter(answer), ""))
            elif variable["type"] != "datasource":
                chosen[variable["name"]] = variable.get("current", {}).get("value", "")
        if "trace_id" in chosen:
            chosen["trace_id"] = store.arrow("SELECT trace_id FROM otel.genai_ledger LIMIT 1").item()
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.stem}/{panel['title']}", expand(target["rawSql"], at, chosen)
        for annotation in board.get("annotations", {}).get("list", []):
            if set(chosen) >= {"tenant", "model"}:
                yield f"{file.stem}/@{annotation['name']}", expand(annotation["target"]["rawSql"], at, chosen)


def main() -> None:
    """Fill, ask, print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch) / "data"
        is_new = not directory.exists()
        with Store.embedded(directory) as store:
            runner.apply(store)
            if is_new:
                began = time.perf_counter()
                fill(store, calls)
                print(f"filled {calls} calls in {time.perf_counter() - began:.0f} s")
            _measure(store)


def _measure(store: Store) -> None:
    sizes = store.arrow(
        """SELECT table, sum(rows) AS rows, count() AS parts, sum(bytes_on_disk) AS bytes FROM system.parts
        WHERE database = 'otel' AND active AND table LIKE 'genai%' GROUP BY table ORDER BY bytes DESC"""
    )
    for table, rows, parts, size in sizes.iter_rows():
        print(f"{table}: {rows} rows, {parts} parts, {size / 1e6:.1f} MB")
    found: dict[str, tuple[float, float]] = {}
    for name, sql in queries(store):
        spent, worked = [], []
        for _ in range(REPEATS):
            began, at_work = time.perf_counter(), time.process_time()
            store.arrow(sql)
            spent.append((time.perf_counter() - began) * 1000)
            worked.append((time.process_time() - at_work) * 1000)
        found[name] = statistics.median(spent), statistics.median(worked)
    for name, (spent_ms, worked_ms) in sorted(found.items(), key=lambda each: -each[1][0])[:25]:
        print(f"{spent_ms:7.0f} ms ({worked_ms:.0f} ms of CPU)  {name}")
    for board in sorted({name.partition("/")[0] for name in found}):
        mine = [wall for name, (wall, _) in found.items() if name.startswith(f"{board}/")]
        print(f"{board}: {len(mine)} queries, {sum(mine):.0f} ms together, slowest {max(mine):.0f} ms")
    walls, works = zip(*found.values(), strict=True)
    slow = sum(wall > 300 for wall in walls)
    print(f"{len(found)} queries: {sum(walls):.0f} ms together, slowest {max(walls):.0f} ms, {slow} over 300 ms")
    print(f"of CPU: {sum(works):.0f} ms together, most {max(works):.0f} ms")


if __name__ == "__main__":
    main()
