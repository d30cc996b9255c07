"""What a page can make the engine run: a dashboard's question, and nothing that a value brings in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from grafana.macros import Window, expand
from otel_exporter.endpoint.engine import Engine
from otel_exporter.endpoint.faults import Fault
from otel_exporter.preview.dashboards import DIRECTORY, Dashboards
from otel_exporter.preview.question import Question
from tests.wire.endpoint_door import BOUNDS

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=1), NOW, 60)
NASTY = ("'", "\\'", "\\", "x' OR 1=1 --", "\\' OR 1=1 --", "'), file('/etc/passwd'), ('")


def test_every_question_passes_and_no_value_becomes_sql(tmp_path: Path) -> None:
    """Every query of every dashboard is one that only reads tables; a value stays a value, whatever is in it."""
    with Store.embedded(tmp_path, memory_bytes=1 << 30) as store:
        runner.apply(store)
        engine = Engine(store, BOUNDS)
        asked = 0
        for dashboard in Dashboards(DIRECTORY):
            for kind, name in dashboard.queries:
                engine.check(Question(dashboard.uid, kind, name, WINDOW, {}).sql(Dashboards(DIRECTORY)))
                asked += 1
        assert asked > 50
        for form in ("singlequote", "sqlstring"):
            for value in NASTY:
                sql = expand(f"SELECT ${{v:{form}}} AS v", WINDOW, {"v": value})
                engine.check(sql)
                assert store.arrow(sql)["v"].to_list() == [value]
        with pytest.raises(Fault):
            engine.check("SELECT file('/etc/passwd')")
