"""The rollups against the ledger: equal at every moment, whatever is posted, taken back, repeated or found later."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema import mending, retention, runner
from clickhouse_schema.rollups import LISTED, MEASURES, ROLLUPS, Rollup
from clickhouse_schema.store import Store
from processors.contract import LEDGER_SCHEMA
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put

_ADDED = [measure for measure in MEASURES if not measure.name.endswith("_buckets")]
_HISTOGRAMS = [measure.name for measure in MEASURES if measure.name.endswith("_buckets")]


def _columns(store: Store, table: str) -> dict[str, str]:
    return dict(store.arrow(f"DESCRIBE TABLE otel.{table}").select("name", "type").iter_rows())


def _sums(store: Store, rollup: Rollup, *, table: str) -> pl.DataFrame:
    """What a rollup, or the ledger read as the rollup is, says by its dimensions; groups without a call left out."""
    keys = ", ".join((rollup.time, *rollup.dimensions))
    sums = ", ".join(f"toString(sum({measure.name})) AS {measure.name}" for measure in _ADDED)
    counts = ", ".join(
        f"arrayFilter(pair -> pair.2 != 0, arrayZip(mapKeys(mapSort(sumMap({name})) AS m_{name}), mapValues(m_{name})))"
        f" AS {name}"
        for name in _HISTOGRAMS
    )
    return store.arrow(f"SELECT {keys}, {sums}, {counts} FROM {table} GROUP BY {keys} HAVING calls != '0' ORDER BY ALL")


def _differences(store: Store) -> list[str]:
    """Rollups that are not what the ledger adds up to."""
    wrong = [
        rollup.name
        for rollup in ROLLUPS
        if not _sums(store, rollup, table=rollup.table).equals(
            _sums(store, rollup, table=f"({rollup.of_ledger()})"), null_equal=True
        )
    ]
    return wrong + ([] if _values(store) == _listed(store) else ["genai_values"])


def _values(store: Store) -> set[tuple[Any, ...]]:
    return set(store.arrow("SELECT tenant, key, value, toInt64(sum(calls)) FROM otel.genai_values GROUP BY ALL").rows())


def _listed(store: Store) -> set[tuple[Any, ...]]:
    """What `genai_values` must say, from the ledger."""
    return {
        row
        for name in LISTED
        for row in store.arrow(
            f"SELECT tenant, '{name}' AS key, {name} AS value, toInt64(sum(sign)) AS calls FROM otel.genai_ledger"
            f" WHERE {name} != '' GROUP BY ALL HAVING calls != 0"
        ).rows()
    }


def _entry(number: int, dice: random.Random) -> dict[str, Any]:
    """An entry of a small world, so that many calls meet in one group."""
    moment = rows.NOW - dice.choice([0, 61, 3_700, 90_000, 86_400 * 70]) * 10**9
    known = dice.random() > 0.2
    said = {
        "call_key": f"call-{number}",
        "tenant": dice.choice(["t", "u"]),
        "team": dice.choice(["red", "blue", ""]),
        "application": dice.choice(["shop", "search"]),
        "user_id": dice.choice(["", "ann"]),
        "end_user": dice.choice(["", "zoe"]),
        "model": dice.choice(["gpt", "claude"]),
        "cache_hit": dice.choice([None, True, False]),
        "is_final": dice.choice([None, True, False]),
        "status": dice.choice(["ok", "error"]),
        "started_at": dice.choice([moment, moment, moment, 0, 2**63 - 1]),
        "duration_ms": dice.choice([None, 0.0, 1234.5678, float("nan"), float("inf"), -1.0, 1e300, 0.1]),
        "ttft_ms": dice.choice([None, dice.random() * 1e5]),
        "gateway_overhead_ms": dice.choice([None, dice.random()]),
        "input_tokens": dice.randint(0, 10**6) if known else None,
        "output_tokens": dice.randint(0, 10**6) if known else None,
        "cost_usd": dice.randint(0, 10**14) / 10**6 if known else None,
        "attempt": dice.choice([None, 1, 2]),
        "issues": [] if known else ["tokens_unknown"],
        "version": dice.getrandbits(64),
    }
    return rows.plain("genai_ledger", **said)


def _postings(seed: int) -> Iterator[pl.DataFrame]:
    """Blocks of entries, and of reversals of what stands with another entry in its place."""
    dice = random.Random(seed)
    standing: dict[int, dict[str, Any]] = {}
    for _ in range(4):
        block = []
        for number in dice.sample(range(25), 12):
            if number in standing:
                block.append({**standing.pop(number), "sign": -1})
            if dice.random() < 0.8:
                standing[number] = _entry(number, dice)
                block.append(standing[number])
        dice.shuffle(block)
        yield rows.frame("genai_ledger", block)


def test_rollups_have_the_columns_the_code_says(store: Store) -> None:
    """The migrations and `clickhouse_schema.rollups` describe the same tables."""
    for rollup in ROLLUPS:
        assert _columns(store, rollup.name) == rollup.columns


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_rollups_are_the_ledger_at_every_moment(store: Store, put: Put, seed: int) -> None:
    """After each block of entries and reversals, repeated or not, merged or not, every rollup is the ledger's sum."""
    retention.keep(store, dict.fromkeys(retention.FAMILIES, 0))  # no row gets too old while it is looked at
    _empty(store)
    for number, block in enumerate(_postings(seed)):
        for _ in range(1 + number % 2):
            put("genai_ledger", block, token=f"{seed}/{number}")
        assert _differences(store) == []
    for rollup in ROLLUPS:
        store.command(f"OPTIMIZE TABLE {rollup.table} FINAL")
    store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")
    assert _differences(store) == []


def _empty(store: Store) -> None:
    for name in ("genai_ledger", "genai_values_counted", *(rollup.name for rollup in ROLLUPS)):
        store.command(f"TRUNCATE TABLE otel.{name}")


def test_what_was_taken_back_is_no_data(store: Store, put: Put) -> None:
    """A team whose only call was reversed is in no group with calls, and in no drop-down."""
    entry = _entry(1, random.Random(1)) | {"team": "gone"}
    put("genai_ledger", rows.frame("genai_ledger", [entry]))
    put("genai_ledger", rows.frame("genai_ledger", [entry | {"sign": -1}]))
    for rollup in ROLLUPS:
        assert store.arrow(f"SELECT team FROM {rollup.table} GROUP BY team HAVING sum(calls) != 0").is_empty()
    assert store.arrow("SELECT value FROM otel.genai_values").is_empty()


def test_a_rollup_is_filled_from_an_older_ledger(blank: Store, tmp_path: Any) -> None:
    """Migrations on a database that has calls add them to every rollup, also when each statement runs twice."""
    known = runner.migrations()
    first = next(place for place, each in enumerate(known) if each.name.startswith("genai_rollup"))
    runner.apply(blank, known[:first])
    for migration in known:
        if migration.name.endswith("_entered_at"):  # files are written with the columns of today
            blank.command(migration.statement)
    file = tmp_path / "block.arrow"
    entries = [
        _entry(number, random.Random(number)) | {"started_at": rows.NOW - number * 10**9} for number in range(50)
    ]
    rows.frame("genai_ledger", entries).write_ipc(file)
    blank.insert_file("genai_ledger", file, "token")
    runner.apply(blank)
    assert _differences(blank) == []
    for migration in known[first:]:
        blank.command(migration.statement)
    assert _differences(blank) == []


def test_a_rollup_that_disagrees_is_mended(store: Store, put: Put) -> None:
    """Rows that a rollup has twice, or not at all, are found by the day, and the rollup is the ledger again."""
    for block in _postings(7):
        put("genai_ledger", block)
    assert mending.mend(store, {}) == {}
    for rollup in ROLLUPS:
        store.command(f"INSERT INTO {rollup.table} SELECT * FROM {rollup.table} SETTINGS insert_deduplicate = 0")
    store.command("TRUNCATE TABLE otel.genai_rollup_minute")
    assert _differences(store)
    assert set(mending.mend(store, {})) == {rollup.name for rollup in ROLLUPS}
    assert _differences(store) == []
    assert mending.mend(store, {}) == {}


def test_days_that_were_dropped_are_not_filled_again(store: Store, put: Put) -> None:
    """Mending looks at no day before the one it is given."""
    put("genai_ledger", rows.frame("genai_ledger", [_entry(1, random.Random(1)) | {"started_at": rows.NOW}]))
    for rollup in ROLLUPS:
        store.command(f"TRUNCATE TABLE {rollup.table}")
    assert mending.mend(store, {rollup.name: date(2100, 1, 1) for rollup in ROLLUPS}) == {}


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("spread", [0.1, 2.0])
def test_quantiles_are_within_five_percent(store: Store, put: Put, level: float, spread: float) -> None:
    """`genai_quantile_ms` of the merged histogram is the exact quantile of the calls, but for 4.5 %."""
    dice = random.Random(5)
    durations = sorted(dice.lognormvariate(6, spread) for _ in range(400))
    entries = [
        rows.plain("genai_ledger", call_key=str(number), version=number, duration_ms=duration, team=str(number % 7))
        for number, duration in enumerate(durations)
    ]
    put("genai_ledger", rows.frame("genai_ledger", entries))
    found = store.arrow(
        f"SELECT genai_quantile_ms(sumMap(duration_buckets), {level}) AS found FROM otel.genai_rollup_hour"
    )["found"][0]
    exact = durations[max(0, -(-int(level * 10_000) * 400 // 10_000) - 1)]
    assert found == pytest.approx(exact, rel=0.0453)


def test_nothing_has_no_quantile(store: Store) -> None:
    """No calls, no latency: NULL and not 0."""
    sql = "SELECT genai_quantile_ms(sumMap(ttft_buckets), 0.5) IS NULL AS none FROM otel.genai_rollup_day"
    assert store.arrow(sql)["none"].to_list() == [1]


def test_ledger_columns_are_known_to_the_rollups() -> None:
    """Every dimension is a column of the ledger."""
    for rollup in ROLLUPS:
        assert set(rollup.dimensions) <= set(LEDGER_SCHEMA)
