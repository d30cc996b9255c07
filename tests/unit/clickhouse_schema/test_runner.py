"""Migrations: from nothing to the newest schema, and every way in which that must stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clickhouse_schema import runner
from clickhouse_schema.runner import MigrationRefused, migrations
from clickhouse_schema.store import Store

_TABLES = "SELECT name, create_table_query FROM system.tables WHERE database = 'otel' ORDER BY name"


def _last(store: Store) -> int:
    return int(store.command("SELECT max(number) FROM otel.schema_migrations"))


def test_from_nothing_to_the_newest(blank: Store) -> None:
    """An empty database gets everything, once; the second run finds nothing to do and changes nothing."""
    assert {state.state for state in runner.status(blank)} == {"pending"}
    assert runner.apply(blank) == list(migrations())
    made = blank.raw(_TABLES, "JSONEachRow")
    assert runner.apply(blank) == []
    assert runner.plan(blank) == []
    assert blank.raw(_TABLES, "JSONEachRow") == made
    states = runner.status(blank)
    assert {state.state for state in states} == {"applied"}
    assert all(state.applied_at for state in states)


@pytest.mark.parametrize("done", [0, 1, 2, 4, 12, len(migrations()) - 1])
def test_a_crash_between_a_statement_and_its_record_is_healed(blank: Store, done: int) -> None:
    """The statement ran and nothing says so: running it again brings the same schema."""
    known = migrations()
    runner.apply(blank, known[:done])
    blank.command(known[done].statement)
    again = known[done if done > 1 else 0 :]  # the second one makes the table that records
    assert runner.apply(blank) == list(again)
    assert _last(blank) == known[-1].number


def test_an_edited_migration_is_refused(store: Store) -> None:
    """History is not rewritten: the database says which file was changed, and nothing runs."""
    known = list(migrations())
    known[2] = replace(known[2], statement=known[2].statement.replace("toIntervalDay(30)", "toIntervalDay(3)"))
    with pytest.raises(MigrationRefused, match=r"\[3\] were edited"):
        runner.apply(store, tuple(known))
    assert [state.state for state in runner.status(store, tuple(known))][2] == "changed"


def test_comments_and_line_breaks_are_no_change(store: Store) -> None:
    """A header may be reworded after the fact."""
    known = list(migrations())
    known[2] = replace(known[2], why="better words", statement=known[2].statement.replace("\n", "\n  "))
    assert runner.apply(store, tuple(known)) == []


def test_a_newer_database_is_refused(store: Store) -> None:
    """An older version must not write to a schema it does not know."""
    with pytest.raises(MigrationRefused, match="upgrade"):
        runner.status(store, migrations()[:-2])


def test_a_migration_that_was_left_out_is_refused(blank: Store) -> None:
    """Numbers are an order: a hole is never filled afterwards."""
    runner.apply(blank)
    blank.command("ALTER TABLE otel.schema_migrations DELETE WHERE number = 3 SETTINGS mutations_sync = 1")
    with pytest.raises(MigrationRefused, match="left out"):
        runner.apply(blank)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("1_short.sql", "-- why: x\n-- rewrites data: no\nSELECT 1"),
        ("0001_no_header.sql", "SELECT 1"),
        ("0001_no_rewrites.sql", "-- why: x\nSELECT 1"),
        ("0001_two.sql", "-- why: x\n-- rewrites data: no\nSELECT 1;\nSELECT 2"),
    ],
)
def test_a_malformed_file_is_refused(name: str, text: str) -> None:
    """A migration has a number, a reason, a word on rewriting, and exactly one statement."""
    with pytest.raises(MigrationRefused, match=name):
        runner.parse(name, text)


def test_every_migration_says_why() -> None:
    """The files are the schema's documentation, too."""
    for migration in migrations():
        assert len(migration.why) > 20
        assert not migration.rewrites_data
