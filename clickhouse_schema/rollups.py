"""The rollups: calls, tokens, money and latency added up by minute, hour and day, exact under reversals.

Every measure is additive and signed, so a reversal takes back exactly what its entry brought. Materialized views fill
them:

    genai_ledger -> minute, hour, end_user; hour -> day -> values

`Rollup.completion` is the statement that makes a rollup equal to the ledger whatever it holds: it adds the difference,
so running it again, also after it was cut, adds only what is still missing. The migrations fill new rollups with it and
`mend` uses it where a rollup and the ledger disagree. Nobody may post to the ledger meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clickhouse_schema.tables import DATABASE
from processors.contract import LEDGER

_LEDGER: Final = f"{DATABASE}.genai_ledger"
_LEDGER_TYPES: Final = {column.name: column.clickhouse for column in LEDGER}
_MONEY: Final = "Decimal(38, 12)"
_HISTOGRAM: Final = "SimpleAggregateFunction(sumMap, Map(UInt16, Int64))"

#: What calls can be grouped by; names and types are the ledger's. `end_user` has a rollup of its own: with it a day
#: has fifteen times the rows (measured: 583,000 instead of 39,000 for a million calls).
MINUTE_DIMENSIONS: Final = (
    "tenant", "team", "application", "provider", "model", "requested_model", "deployment_id", "gateway", "status",
    "error_type", "error_code", "cache_hit", "is_final",
)  # fmt: skip
DIMENSIONS: Final = (
    "tenant", "team", "application", "provider", "model", "requested_model", "organization", "team_id", "project",
    "cost_center", "owner", "user_id", "api_key_alias", "api_key_hash", "environment", "agent", "operation",
    "deployment_id", "gateway", "service_tier", "status", "error_type", "error_code", "cache_hit", "cost_source",
    "is_final", "fallback_from",
)  # fmt: skip
END_USER_DIMENSIONS: Final = ("tenant", "team", "application", "provider", "model", "requested_model", "end_user")
#: Dimensions whose distinct values `genai_values` lists, for drop-down menus.
LISTED: Final = (
    "tenant", "organization", "team", "project", "cost_center", "application", "environment", "agent", "user_id",
    "api_key_alias", "provider", "model", "requested_model", "deployment_id",
)  # fmt: skip

_TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_COSTS: Final = (
    "cost_usd", "cost_input_usd", "cost_output_usd", "cost_cache_usd", "cost_other_usd", "discount_usd", "margin_usd",
    "cost_reported_usd", "cost_local_usd", "saved_usd",
)  # fmt: skip
_COUNTS: Final = {
    "unpriced_calls": "isNull(entry.cost_usd)",
    "unknown_token_calls": "has(entry.issues, 'tokens_unknown')",
    "retried_calls": "ifNull(entry.attempt, 0) > 1",
    "streaming_calls": "ifNull(entry.streaming, false)",
}
_LATENCIES: Final = {"duration": "duration_ms", "ttft": "ttft_ms", "overhead": "gateway_overhead_ms"}
#: A moment as a second that DateTime can name: before 1970 and after 2105 there is none.
_SECOND: Final = "least(greatest(intDiv(toUnixTimestamp64Nano(entry.started_at), 1000000000), 0), 4291747199)"
#: What a rollup and the ledger are compared by; where these agree for a tenant's day, so does the rest.
_COMPARED: Final = ("calls", "input_tokens", "output_tokens", "cost_usd")


@dataclass(frozen=True)
class Measure:
    """A column that is added up: its name, its type, and what signed entries bring to it."""

    name: str
    type: str
    of_entries: str

    @property
    def of_rows(self) -> str:
        """The same of rows of a rollup."""
        return f"{'sumMap' if self.type == _HISTOGRAM else 'sum'}(row.{self.name})"

    @property
    def negative(self) -> str:
        """The same taken back."""
        return f"mapApply((k, n) -> (k, -n), {self.name})" if self.type == _HISTOGRAM else f"-{self.name}"

    @property
    def matters(self) -> str:
        """Whether a row adds anything to it."""
        return f"arrayExists(n -> n != 0, mapValues({self.name}))" if self.type == _HISTOGRAM else f"{self.name} != 0"


def _bucket(microseconds: str) -> str:
    """OpenTelemetry's exponential histogram at scale 3: bucket i holds (2^(i/8), 2^((i+1)/8)] microseconds."""
    return f"toUInt16(greatest(ceil(log2(greatest({microseconds}, 1)) * 8) - 1, 0))"


def _microseconds(milliseconds: str) -> str:
    """A duration as an integer, which can be taken back in any order; -1 when there is none (NULL, negative, NaN)."""
    sane = f"{milliseconds} BETWEEN 0 AND 1e12"
    return f"if(ifNull({sane}, false), toInt64(round(ifNull({milliseconds}, 0) * 1000)), -1)"


def _measures() -> Iterator[Measure]:
    yield Measure("calls", "Int64", "sum(toInt64(entry.sign))")
    for name in _TOKENS:
        yield Measure(name, "Int64", f"sum(toInt64(ifNull(entry.{name}, 0)) * entry.sign)")
    for name in _COSTS:
        yield Measure(name, _MONEY, f"sum(ifNull(entry.{name}, 0) * entry.sign)")
    for name, condition in _COUNTS.items():
        yield Measure(name, "Int64", f"sumIf(toInt64(entry.sign), {condition})")
    for name in _LATENCIES:
        known = f"{name} >= 0"
        yield Measure(f"{name}_us", "Int64", f"sumIf({name} * entry.sign, {known})")
        yield Measure(f"{name}_calls", "Int64", f"sumIf(toInt64(entry.sign), {known})")
        histogram = f"sumMapIf(map({_bucket(name)}, toInt64(entry.sign)), {known})"
        yield Measure(f"{name}_buckets", _HISTOGRAM, histogram)


MEASURES: Final = tuple(_measures())
_LATENCY_TERMS: Final = ",\n    ".join(
    f"{_microseconds(f'entry.{column}')} AS {name}" for name, column in _LATENCIES.items()
)


@dataclass(frozen=True)
class Rollup:
    """One rollup of the ledger: its time column is the start, in UTC, of the period a call started in.

    Attributes:
        name: of the table.
        period: ClickHouse's name of the period (Minute, Hour, Day).
        partition: ClickHouse's function of the time column. No finer than the ledger's, so that a file that fits into
            the ledger (at most 50 partitions) fits here.
        dimensions: what its rows are grouped by.
        measures: what is added up.
        where: which entries it is of.
        source: the rollup that feeds it; the ledger when None.
    """

    name: str
    period: str
    partition: str
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...] = MEASURES
    where: str = ""
    source: Rollup | None = None
    time: str = "bucket"

    @property
    def table(self) -> str:
        """Its full name."""
        return f"{DATABASE}.{self.name}"

    @property
    def columns(self) -> dict[str, str]:
        """Name and ClickHouse type of every column, in order."""
        keys = {name: _LEDGER_TYPES[name] for name in self.dimensions}
        return {self.time: "DateTime('UTC')", **keys} | {measure.name: measure.type for measure in self.measures}

    def create(self) -> str:
        """The table."""
        lines = ",\n".join(f"    {name} {kind} CODEC(ZSTD(1))" for name, kind in self.columns.items())
        key = ", ".join(name for name in self.dimensions if name != "tenant")
        return (
            f"CREATE TABLE IF NOT EXISTS {self.table}\n(\n{lines}\n)\nENGINE = SummingMergeTree\n"
            f"PARTITION BY {self.partition}({self.time})\nPRIMARY KEY (tenant, {self.time})\n"
            f"ORDER BY (tenant, {self.time}, {key})\nSETTINGS allow_nullable_key = 1,\n"
            "    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"
        )

    def view(self) -> str:
        """The materialized view that fills it."""
        added_up = self.of_rows(self.source) if self.source else self.of_ledger()
        return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {self.table}_mv TO {self.table} AS\n{added_up}"

    def of_ledger(self, condition: str = "") -> str:
        """Entries of the ledger, added up."""
        columns = [f"toDateTime(toStartOf{self.period}(toDateTime({_SECOND}, 'UTC')), 'UTC') AS {self.time}"]
        columns += [f"entry.{name} AS {name}" for name in self.dimensions]
        columns += [f"{measure.of_entries} AS {measure.name}" for measure in self.measures]
        conditions = " AND ".join(each for each in (self.where, condition) if each)
        where = f"\nWHERE {conditions}" if conditions else ""
        head = f"WITH\n    {_LATENCY_TERMS}\nSELECT\n    " + ",\n    ".join(columns)
        return f"{head}\nFROM {_LEDGER} AS entry{where}\nGROUP BY {', '.join((self.time, *self.dimensions))}"

    def of_rows(self, source: Rollup) -> str:
        """Rows of a finer rollup, added up."""
        columns = [f"toDateTime(toStartOf{self.period}(row.{source.time}), 'UTC') AS {self.time}"]
        columns += [f"row.{name} AS {name}" for name in self.dimensions]
        columns += [f"{measure.of_rows} AS {measure.name}" for measure in self.measures]
        head = "SELECT\n    " + ",\n    ".join(columns)
        return f"{head}\nFROM {source.table} AS row\nGROUP BY {', '.join((self.time, *self.dimensions))}"

    def wrong_days(self) -> str:
        """The days from ``since`` on (a date) on which the rollup and the ledger disagree, and by how much (a text)."""
        compared = [measure for measure in self.measures if measure.name in _COMPARED]
        entries = ", ".join(f"{measure.of_entries} AS {measure.name}" for measure in compared)
        rows = ", ".join(f"-{measure.of_rows} AS {measure.name}" for measure in compared)
        conditions = " AND ".join(each for each in (self.where, "day >= {since:Date}") if each)
        wrong = " OR ".join(f"sum(part.{measure.name}) != 0" for measure in compared)
        sums = ", ".join(f"sum(part.{measure.name})" for measure in compared)
        return (
            f"SELECT day, toString(groupArray(difference)) AS difference FROM (\n"
            f"SELECT day, tuple(tenant, {sums}) AS difference FROM (\n"
            f"SELECT toDate(toDateTime({_SECOND}, 'UTC'), 'UTC') AS day, entry.tenant AS tenant, {entries}\n"
            f"FROM {_LEDGER} AS entry WHERE {conditions} GROUP BY day, tenant\nUNION ALL\n"
            f"SELECT toDate(row.{self.time}, 'UTC') AS day, row.tenant AS tenant, {rows}\n"
            f"FROM {self.table} AS row WHERE day >= {{since:Date}} GROUP BY day, tenant\n"
            f") AS part GROUP BY day, tenant HAVING {wrong} ORDER BY day, tenant\n) GROUP BY day ORDER BY day"
        )

    def day_completion(self) -> str:
        """`completion` of one ``day`` (a date)."""
        of_ledger = f"toDate(toDateTime({_SECOND}, 'UTC'), 'UTC') = {{day:Date}}"
        return self.completion(of_ledger, f"toDate({self.time}, 'UTC') = {{day:Date}}")

    def completion(self, of_ledger: str, of_table: str) -> str:
        """Adds what the ledger has and the rollup has not, and takes back what only the rollup has.

        Args:
            of_ledger: condition on ``entry``; '' is all.
            of_table: the same condition on the rollup's columns.
        """
        keys = ", ".join((self.time, *self.dimensions))
        taken_back = ", ".join(f"{measure.negative} AS {measure.name}" for measure in self.measures)
        difference = ", ".join(f"{measure.of_rows} AS {measure.name}" for measure in self.measures)
        names = ", ".join(measure.name for measure in self.measures)
        matters = " OR ".join(measure.matters for measure in self.measures)
        where = f" WHERE {of_table}" if of_table else ""
        return (
            f"INSERT INTO {self.table} ({keys}, {names})\n"
            f"SELECT {keys}, {names} FROM (\nSELECT {keys}, {difference} FROM (\n{self.of_ledger(of_ledger)}\n"
            f"UNION ALL\nSELECT {keys}, {taken_back} FROM {self.table}{where}\n) AS row GROUP BY {keys}\n)\n"
            f"WHERE {matters}\n"
            "SETTINGS insert_deduplicate = 0, max_bytes_before_external_group_by = 1000000000"
        )


MINUTE: Final = Rollup("genai_rollup_minute", "Minute", "toYYYYMM", MINUTE_DIMENSIONS)
HOUR: Final = Rollup("genai_rollup_hour", "Hour", "toYYYYMM", DIMENSIONS)
DAY: Final = Rollup("genai_rollup_day", "Day", "toYear", DIMENSIONS, source=HOUR)
END_USER: Final = Rollup("genai_rollup_end_user", "Day", "toYear", END_USER_DIMENSIONS, where="entry.end_user != ''")
#: In the order in which they are mended: what feeds another comes first.
ROLLUPS: Final = (MINUTE, HOUR, DAY, END_USER)

_LISTED: Final = ", ".join(f"('{name}', toString(row.{name}))" for name in LISTED)
VALUES_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS {DATABASE}.genai_values_counted
(
    day Date CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    key LowCardinality(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    calls Int64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree
PARTITION BY toYear(day)
ORDER BY (tenant, key, day, value)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"""
VALUES_VIEW: Final = f"""CREATE VIEW IF NOT EXISTS {DATABASE}.genai_values AS
SELECT day, tenant, key, value, calls FROM {DATABASE}.genai_values_counted FINAL WHERE calls != 0"""
_VALUES: Final = f"""SELECT
    toDate(row.bucket, 'UTC') AS day, row.tenant AS tenant, said.1 AS key, said.2 AS value, sum(row.calls) AS calls
FROM {DATABASE}.genai_rollup_day AS row
ARRAY JOIN [{_LISTED}] AS said
WHERE said.2 != ''
GROUP BY day, tenant, key, value"""
_VALUES_NAME: Final = f"{DATABASE}.genai_values"
VALUES_MV: Final = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {_VALUES_NAME}_mv TO {_VALUES_NAME}_counted AS\n{_VALUES}"
VALUES_COMPLETION: Final = f"""INSERT INTO {DATABASE}.genai_values_counted (day, tenant, key, value, calls)
SELECT day, tenant, key, value, missing FROM (
SELECT day, tenant, key, value, sum(part.calls) AS missing FROM (
{_VALUES}
UNION ALL
SELECT day, tenant, key, value, -calls AS calls FROM {DATABASE}.genai_values_counted
) AS part GROUP BY day, tenant, key, value
)
WHERE missing != 0
SETTINGS insert_deduplicate = 0"""
QUANTILE: Final = """CREATE OR REPLACE FUNCTION genai_quantile_ms AS (buckets, level) -> if(
    arraySum(mapValues(buckets)) <= 0,
    NULL,
    exp2((arrayElement(
        mapKeys(mapSort(buckets)),
        arrayFirstIndex(
            upto -> upto >= greatest(level * arraySum(mapValues(buckets)), 1), arrayCumSum(mapValues(mapSort(buckets)))
        )
    ) + 0.5) / 8) / 1000
)"""
