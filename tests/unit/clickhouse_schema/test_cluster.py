"""More than one server: what the migrations become, and that a server without data answers for its shards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clickhouse_schema import cluster, retention
from clickhouse_schema.runner import migrations
from clickhouse_schema.store import Store

STATEMENTS = [migration.statement for migration in migrations()]
#: Two shards that are this very process: what they answer is everything twice.
CONFIG = """
<clickhouse><tcp_port>9000</tcp_port><remote_servers><twice>
  <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
  <shard><replica><host>localhost</host><port>9000</port></replica></shard>
</twice></remote_servers></clickhouse>
"""
CALLS = 7


@pytest.mark.parametrize("statement", STATEMENTS, ids=[f"{m.number:04}" for m in migrations()])
def test_every_migration_has_a_form_for_replicas(store: Store, statement: str) -> None:
    """The engine can read it; it names the cluster, replicates every table, and forgets no token during an outage."""
    on_cluster = cluster.replicated(statement, "tokentide_1")
    if statement.startswith("INSERT "):
        assert on_cluster == statement
        return
    store.raw(f"EXPLAIN AST {on_cluster}", "TSV")
    assert on_cluster.count("ON CLUSTER 'tokentide_1'") == 1
    assert not re.search(r"ENGINE = (?!Replicated)\w*MergeTree|non_replicated", on_cluster)
    kept = f"replicated_deduplication_window_seconds = {cluster.REMEMBERED_SECONDS}"
    assert (kept in on_cluster) == ("non_replicated_deduplication_window" in statement)


def test_retention_has_a_form_for_replicas(store: Store) -> None:
    """Keeping rows longer or shorter is said to every replica."""
    alteration = cluster.replicated(retention.alteration("genai_ledger", "started_at", 7), "c")
    store.raw(f"EXPLAIN AST {alteration}", "TSV")
    assert alteration.startswith("ALTER TABLE otel.genai_ledger ON CLUSTER 'c' MODIFY TTL")


@pytest.mark.parametrize("name", ["", "a b", "x'; DROP TABLE y --", "1"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """Nothing from a configuration file reaches SQL unread."""
    with pytest.raises(ValueError, match="is not the name of a cluster"):
        cluster.replicated(STATEMENTS[0], name)


def test_a_statement_of_an_unknown_kind_is_refused() -> None:
    """A migration of a new kind is thought about before it runs on one replica only."""
    with pytest.raises(ValueError, match="cannot run on a cluster"):
        cluster.replicated("RENAME TABLE otel.a TO otel.b", "c")


def test_a_server_without_data_answers_for_its_shards(tmp_path: Path) -> None:
    """Every name can be read over two shards, sums are of both, and every panel's query runs there."""
    (tmp_path / "config.xml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "tests.unit.clickhouse_schema.two_shards", str(tmp_path), str(CALLS)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["read"] == cluster.readable(STATEMENTS)
    assert found["calls"] == found["rolled_up"] == 2 * CALLS
    assert found["panels"] > 100
    assert found["failed"] == {}
