"""Brings a database to the newest schema, one numbered file after the other.

A migration is a file of `migrations/`: a comment that says why and whether it rewrites data, and one statement that may
run twice (`IF NOT EXISTS` and the like). It is recorded after it ran; a crash in between runs it again, which changes
nothing. An embedded store is locked by its directory. Two runners on one server do the same idempotent statements and
record the same rows, so they need no lock; changes that could not bear that must not be written as migrations.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final, Literal

from clickhouse_schema.store import Store

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_LEDGER: Final = "otel.schema_migrations"


@dataclass(frozen=True)
class Migration:
    """One file: its number, name, the reason in its header, whether it rewrites stored data, and its statement."""

    number: int
    name: str
    why: str
    rewrites_data: bool
    statement: str

    @property
    def checksum(self) -> str:
        """Of the statement's words alone: comments and line breaks are no change of the schema."""
        return hashlib.sha256(" ".join(self.statement.split()).encode()).hexdigest()


@dataclass(frozen=True)
class State:
    """A migration and what this database knows of it."""

    migration: Migration
    state: Literal["applied", "pending", "changed"]
    applied_at: datetime | None


class MigrationRefused(Exception):
    """The database and the files contradict each other; nothing was done."""


def migrations() -> tuple[Migration, ...]:
    """Every migration of this version, in order. No number is used twice; a gap is harmless and never filled later."""
    folder = resources.files("clickhouse_schema") / "migrations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    found = tuple(parse(entry.name, entry.read_text(encoding="utf-8")) for entry in files)
    if len({migration.number for migration in found}) != len(found):
        raise MigrationRefused("two migration files have the same number")
    return found


def parse(file_name: str, text: str) -> Migration:
    """A migration from its file; the header is the comment lines before the statement."""
    named = _FILE.fullmatch(file_name)
    lines = text.splitlines()
    header = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    statement = "\n".join(line for line in lines if not line.startswith("--")).strip()
    rewrites = next((line for line in header if line.startswith("rewrites data:")), None)
    if not named or not header or not header[0].startswith("why:") or rewrites is None or ";" in statement:
        raise MigrationRefused(f"{file_name}: needs NNNN_name.sql, `-- why:`, `-- rewrites data:` and one statement")
    why = " ".join(line for line in header if line is not rewrites).removeprefix("why:").strip()
    return Migration(int(named[1]), named[2], why, not rewrites.endswith(" no"), statement)


def status(store: Store, known: tuple[Migration, ...] | None = None) -> list[State]:
    """Every migration with its state in this database.

    Raises:
        MigrationRefused: the database was migrated by a newer version of this software.
    """
    known = migrations() if known is None else known
    recorded = _recorded(store)
    if unknown := sorted(recorded.keys() - {migration.number for migration in known}):
        raise MigrationRefused(f"this database has migrations {unknown} that this version does not know; upgrade first")
    return [_state(migration, recorded.get(migration.number)) for migration in known]


def plan(store: Store, known: tuple[Migration, ...] | None = None) -> list[Migration]:
    """What `apply` would run, in order.

    Raises:
        MigrationRefused: a newer version migrated this database, an applied file was edited, or one was left out.
    """
    states = status(store, known)
    if changed := [state.migration.number for state in states if state.state == "changed"]:
        raise MigrationRefused(f"migrations {changed} were edited after they were applied; add a new one instead")
    pending = [state.migration for state in states if state.state == "pending"]
    applied = [state.migration.number for state in states if state.state == "applied"]
    if pending and applied and pending[0].number < applied[-1]:
        raise MigrationRefused(f"migration {pending[0].number} was left out: {applied[-1]} is applied already")
    return pending


def apply(store: Store, known: tuple[Migration, ...] | None = None) -> list[Migration]:
    """Run what is pending; returns it. Running it twice, or after a crash, is harmless.

    Raises:
        MigrationRefused: see `plan`; nothing was run.
    """
    pending = plan(store, known)
    unrecorded: list[Migration] = []
    for migration in pending:
        store.define(migration.statement)
        unrecorded.append(migration)
        if migration.number >= 2:  # the second one makes the table that records them
            for done in unrecorded:
                _record(store, done)
            unrecorded.clear()
    return pending


def _state(migration: Migration, recorded: tuple[str, datetime] | None) -> State:
    if recorded is None:
        return State(migration, "pending", None)
    checksum, applied_at = recorded
    return State(migration, "applied" if checksum == migration.checksum else "changed", applied_at)


def _recorded(store: Store) -> dict[int, tuple[str, datetime]]:
    """Checksum and time of every migration this database has seen, by number."""
    if store.command("SELECT count() FROM system.tables WHERE database = 'otel' AND name = 'schema_migrations'") == "0":
        return {}
    rows = store.arrow(f"SELECT number, checksum, applied_at FROM {_LEDGER} FINAL ORDER BY number")
    return {number: (checksum, applied_at) for number, checksum, applied_at in rows.iter_rows()}


def _record(store: Store, migration: Migration) -> None:
    store.command(
        f"INSERT INTO {_LEDGER} SELECT {{number:UInt32}}, {{name:String}}, {{checksum:String}}, now64(3, 'UTC')",
        {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
    )
