"""The store: what goes in and out of ClickHouse, whatever it is made of."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema.errors import StoreRejected, StoreUnavailable
from clickhouse_schema.handle import EngineError
from clickhouse_schema.store import Store
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put

_HOSTILE = [
    "",
    "'",
    "\\",
    "\\'",
    "\n\n; DROP TABLE otel.otel_traces",
    "\t\0{x:String}",
    "%s %(a)s",
    "\U0001f600",
    "[','",
]


def _spans(count: int) -> pl.DataFrame:
    """Spans of ``count`` different traces."""
    one = rows.frame("otel_traces", [rows.plain("otel_traces")])
    many = one.select(pl.all().gather([0] * count))
    return many.with_columns(TraceId=pl.int_range(count).cast(pl.String), SpanId=pl.int_range(count).cast(pl.String))


def _counts(store: Store) -> tuple[int, ...]:
    return store.arrow(
        "SELECT (SELECT count() FROM otel_traces) AS a, (SELECT count() FROM otel_traces_trace_id_ts) AS b"
    ).row(0)


@given(st.text(max_size=30) | st.sampled_from(_HOSTILE), st.lists(st.text(max_size=9) | st.sampled_from(_HOSTILE)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parameters_are_values_never_sql(store: Store, text: str, texts: list[str]) -> None:
    """Any text bound to a parameter arrives as itself."""
    found = store.arrow("SELECT {text:String} AS text, {texts:Array(String)} AS texts", {"text": text, "texts": texts})
    assert found.row(0) == (text, texts)


def test_moments_are_bound_in_utc(store: Store) -> None:
    """A moment keeps its instant whatever the time zone of the machine, and NULL stays NULL."""
    moment = datetime(2026, 11, 21, 3, 4, 5, 678901, tzinfo=UTC)
    sql = "SELECT {at:DateTime64(9, 'UTC')} AS at, {none:Nullable(String)} AS none"
    assert store.arrow(sql, {"at": moment, "none": None}).row(0) == (moment, None)


def test_what_arrow_cannot_say_is_put_right(store: Store) -> None:
    """Enum, DateTime, UUID, addresses and 128-bit numbers come back as what they mean, empty results too."""
    sql = """SELECT CAST('er\\'ror', 'Enum8(\\'ok\\' = 1, \\'er\\\\\\'ror\\' = -2)') AS enum,
    CAST(NULL, 'Nullable(Enum16(\\'a\\' = 1000))') AS none,
    toDateTime('2026-01-02 03:04:05') AS seconds, toIPv4('1.2.3.4') AS v4, toIPv6('::1') AS v6,
    toUUID('00112233-4455-6677-8899-aabbccddeeff') AS uuid, toInt128(-5) AS i, toFixedString('ab', 4) AS fixed,
    toInt8(3) AS small, toUInt32(7) AS plain, toLowCardinality('x') AS low, toDecimal128('1.000000000001', 12) AS usd"""
    expected = ("er'ror", None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "1.2.3.4", "::1",
                "00112233-4455-6677-8899-aabbccddeeff", -5, "ab", 3, 7, "x", Decimal("1.000000000001"))  # fmt: skip
    assert store.arrow(sql).row(0) == expected
    assert store.arrow(f"SELECT * FROM ({sql}) WHERE small = 0").schema == store.arrow(sql).schema


def test_text_that_is_not_utf8_is_replaced(store: Store) -> None:
    """ClickHouse strings are bytes; other writers' bytes must not break a reader, wherever they are nested."""
    bad = "unhex('ff41')"
    found = store.arrow(f"SELECT {bad} AS a, [{bad}] AS b, map({bad}, {bad}) AS c, [map('k', {bad})] AS d, 'ok' AS e")
    assert found.row(0) == ("\ufffdA", ["\ufffdA"], {"\ufffdA": "\ufffdA"}, [{"k": "\ufffdA"}], "ok")


def test_numbers_wider_than_ours_are_refused_by_name(store: Store) -> None:
    """A 256-bit column is refused in a sentence that says what to do, not by a panic."""
    with pytest.raises(StoreRejected, match=r"'wide'.*cast"):
        store.arrow("SELECT toUInt256(1) AS wide")


def test_statements_without_rows_answer_nothing(store: Store) -> None:
    """SHOW, EXPLAIN and DDL go through the same door as SELECT."""
    assert store.arrow("SHOW DATABASES LIKE 'otel'").row(0) == ("otel",)
    assert store.arrow("EXPLAIN SELECT 1").height > 0
    assert store.arrow("CREATE TABLE IF NOT EXISTS otel.genai_ledger (a Int8) ENGINE = Memory").is_empty()
    assert store.command("SELECT 'x' WHERE 0") == ""
    assert store.raw("SELECT 1 AS a", "JSONEachRow") == b'{"a":1}\n'


def test_the_same_file_under_the_same_token_is_stored_once(store: Store, put: Put) -> None:
    """Replay after a crash adds nothing; another token is another batch."""
    spans = _spans(10)
    for token in ("a/otel_traces/0", "a/otel_traces/0", "it's\\ b"):
        put("otel_traces", spans, token)
    assert store.command("SELECT count() FROM otel_traces") == "20"


def test_replay_completes_a_view_that_was_left_behind(store: Store, put: Put) -> None:
    """The table has the rows and its view does not (a crash between them): the same insert fills the view only."""
    store.command("DETACH TABLE otel.otel_traces_trace_id_ts_mv SYNC")
    put("otel_traces", _spans(7), "token")
    assert _counts(store) == (7, 0)
    store.command("ATTACH TABLE otel.otel_traces_trace_id_ts_mv")
    for _ in range(2):
        put("otel_traces", _spans(7), "token")
    assert _counts(store) == (7, 7)


def test_a_large_file_is_one_part_in_the_table_and_in_its_view(store: Store, put: Put) -> None:
    """Many record batches, and a view whose groups come out in many blocks: still one block, so one token is enough."""
    store.command("SYSTEM STOP MERGES")
    try:
        put("otel_traces", _spans(300_000), "large")
        parts = (
            "SELECT table, count() AS parts, sum(rows) AS rows FROM system.parts WHERE active AND database = 'otel' "
        )
        parts += "AND table LIKE 'otel_traces%' GROUP BY table ORDER BY table"
        assert store.arrow(parts).rows() == [("otel_traces", 1, 300_000), ("otel_traces_trace_id_ts", 1, 300_000)]
        put("otel_traces", _spans(300_000), "large")
        assert _counts(store) == (300_000, 300_000)
    finally:
        store.command("SYSTEM START MERGES")


def test_rows_that_break_a_type_blame_the_rows(store: Store, tmp_path: Path) -> None:
    """A file ClickHouse cannot read as the table's columns is refused for good, and says nothing of what was in it."""
    secret = "sk-live-secret"
    path = tmp_path / "bad.arrow"
    good = rows.frame("genai_limits", [rows.plain("genai_limits")])
    good.with_columns(observed_at=pl.lit(secret)).write_ipc(path)
    with pytest.raises(StoreRejected) as refused:
        store.insert_file("genai_limits", path, "t")
    assert refused.value.blames_rows
    assert secret not in str(refused.value)
    assert secret not in refused.value.sentence


def test_a_wrong_statement_blames_nobodys_rows(store: Store) -> None:
    """An unknown table is no reason to search a batch for poisonous rows; the engine's words go to its author."""
    with pytest.raises(StoreRejected) as refused:
        store.arrow("SELECT 'topsecret' FROM otel.nowhere")
    assert (refused.value.code, refused.value.blames_rows) == (60, False)
    assert "topsecret" not in str(refused.value)
    assert "nowhere" in refused.value.detail


def test_running_out_of_time_passes(store: Store) -> None:
    """A query stopped by a limit may be asked again."""
    with pytest.raises(StoreUnavailable):
        store.arrow("SELECT sleepEachRow(0.1) FROM numbers(20) SETTINGS max_execution_time = 0.3, max_block_size = 1")


def test_threads_do_not_wait_for_each_other(store: Store) -> None:
    """Calls from many threads each get their own answer, and a slow one does not hold up the others."""
    slow = threading.Thread(target=lambda: store.arrow("SELECT sleep(1)"))
    slow.start()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: store.arrow("SELECT {n:UInt64} AS n", {"n": n}).item(), range(60)))
    assert slow.is_alive()
    slow.join()
    assert answers == list(range(60))


def test_a_handle_setting_does_not_leak_time_zones(store: Store) -> None:
    """Moments without a zone are UTC wherever the process runs."""
    assert store.command("SELECT toString(toDateTime64('2026-01-01 00:00:00', 9, 'UTC')::DateTime64(9))") == (
        "2026-01-01 00:00:00.000000000"
    )
    assert store.command("SELECT timezone()") == "UTC"


def test_raw_handles_keep_to_themselves(store: Store) -> None:
    """What one raw handle sets, no other sees; it answers whole and in blocks that join up, with real counts."""
    sql = "SELECT number FROM numbers(200000)"
    with store.handle() as one, store.handle() as other:
        one.run("SET max_threads = 1")
        assert other.run("SELECT getSetting('max_threads')").body != one.run("SELECT getSetting('max_threads')").body
        whole, blocks = one.run(sql), list(one.stream(sql, "TabSeparatedRaw"))
        assert b"".join(block.body for block in blocks) == whole.body
        assert len(blocks) > 1
        assert (whole.result_rows, whole.read_rows) == (200_000, 200_000)
        assert other.run("SELECT {a:String}", parameters={"a": "x\\ty"}).body == b"x\ty\n"
    with store.handle() as failing, pytest.raises(EngineError, match=r"^Code: 47\."):
        failing.run("SELECT nope")
