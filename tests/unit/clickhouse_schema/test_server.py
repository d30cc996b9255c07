"""A ClickHouse server through the same Store: HTTP in between, the real engine behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clickhouse_schema import probe, runner
from clickhouse_schema.errors import StoreRejected, StoreUnavailable
from clickhouse_schema.store import Store
from processors.contract import LEDGER_SCHEMA
from tests.unit.clickhouse_schema import front, rows


@pytest.fixture
def server(opened: Store, store: Store) -> Iterator[Store]:
    """A store that reaches the embedded one over HTTP."""
    path = Path(store.arrow("SELECT path FROM system.disks WHERE name = 'default'").item())
    with front.serving(path) as url, Store.server(url) as remote:
        yield remote


def test_a_server_is_migrated_and_says_so(server: Store) -> None:
    """The runner is the same."""
    assert not server.is_embedded
    assert runner.plan(server) == []
    assert {state.state for state in runner.status(server)} == {"applied"}


def test_tables_of_a_cluster_are_made_on_all_of_it(opened: Store, store: Store) -> None:
    """With a cluster's name every definition is sent for its replicas; this engine, alone, says that it is none."""
    path = Path(store.arrow("SELECT path FROM system.disks WHERE name = 'default'").item())
    with front.serving(path) as url, Store.server(url, "shard_1") as remote:
        with pytest.raises(StoreRejected) as refused:
            remote.define("CREATE TABLE IF NOT EXISTS otel.x (a String)\nENGINE = MergeTree ORDER BY a")
        assert refused.value.code == 701  # CLUSTER_DOESNT_EXIST
        with pytest.raises(StoreRejected):
            remote.catch_up()


def test_a_file_goes_in_once_and_comes_back(server: Store, tmp_path: Path) -> None:
    """Bytes of the file travel in the body, the token keeps a replay from doubling, types come back as they were."""
    entry = rows.frame("genai_ledger", [rows.plain("genai_ledger", call_key="ü\n\n'", tags=["a"], said=[{"k": "v"}])])
    path = tmp_path / "entry.arrow"
    entry.write_ipc(path, compression="lz4")
    for _ in range(2):
        server.insert_file("genai_ledger", path, "batch/genai_ledger/0")
    assert_frame_equal(server.arrow("SELECT * FROM genai_ledger"), entry)


def test_abandoned_probes_are_swept(server: Store) -> None:
    """What a killed process left behind goes once it is old; a probe that may be in use stays, and so does a table of
    somebody's whose name only looks alike.
    """
    abandoned, foreign = probe.name("otel_traces"), "my_probe_01234567"
    for table in (abandoned, foreign):
        server.command(f"CREATE TABLE otel.{table} (a String) ENGINE = MergeTree ORDER BY a")
    try:
        assert probe.sweep(server) == []
        assert probe.sweep(server, timedelta()) == [abandoned]
        left = server.arrow("SELECT name FROM system.tables WHERE database = 'otel' AND name LIKE '%probe%'")
        assert left["name"].to_list() == [foreign]
    finally:
        server.command(f"DROP TABLE otel.{foreign}")


@pytest.mark.parametrize("count", [1, 20_000])
def test_look_ups_travel_beside_the_sql(server: Store, tmp_path: Path, count: int) -> None:
    """Thousands of handles reach a server as a table, far beyond what a URL or a parameter may hold."""
    entry = rows.frame("genai_ledger", [rows.plain("genai_ledger", tenant="t", handles=["a'\n\nb"])])
    entry.write_ipc(tmp_path / "e.arrow")
    server.insert_file("genai_ledger", tmp_path / "e.arrow", "t")
    found = server.ledger_entries("t", ["a'\n\nb", *(f"response:{number:060}" for number in range(count))], None, None)
    assert found.schema == LEDGER_SCHEMA
    assert found.height == 1


def test_failures_are_told_apart(server: Store) -> None:
    """What the server refuses is refused for good; a server that is not there is asked again."""
    with pytest.raises(StoreRejected) as refused:
        server.arrow("SELECT * FROM otel.nowhere")
    assert refused.value.code == 60
    with pytest.raises(StoreUnavailable) as away:
        Store.server("http://user:secret-password@127.0.0.1:9")
    assert "secret-password" not in f"{away.value}{away.value.detail}"


@pytest.mark.parametrize("url", ["127.0.0.1:8123", "tcp://host:9000", "http://host/db", "http://host?user=x:topsecret"])
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    """A URL may hold a password, so the message only says what one looks like."""
    with pytest.raises(ValueError, match="looks like") as refused:
        Store.server(url)
    assert url not in str(refused.value)


def test_long_texts_are_bound_too(server: Store) -> None:
    """A parameter longer than a URL still arrives."""
    assert server.arrow("SELECT length({text:String}) AS n", {"text": "ä" * 20_000}).item() == 40_000
    assert isinstance(server.arrow("SELECT now64(3) AS at").schema["at"], pl.Datetime)
