"""Closing months in a real ClickHouse: every dollar is in exactly one statement, and no statement ever changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter.asking import direct, table
from otel_exporter.assembly import Assembly, assembled
from otel_exporter.books import closing, show, statement
from otel_exporter.books.as_of import CALLS_AS_OF
from otel_exporter.books.record import closings
from otel_exporter.config.tree import Settings, StoreSettings
from otel_exporter.failures import Refused
from processors.contract import LEDGER_COLUMNS
from tests.unit.clickhouse_schema.rows import frame, plain

MONTHS = ("2026-01", "2026-02", "2026-03")
TEAMS = ("search", "support")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TABLES = ("genai_ledger", "genai_reversals", "genai_closing", "genai_statement")
Key = tuple[str, str]  # month, team
Standing = dict[str, tuple[Key, Decimal | None, int]]  # call -> where it is, what it costs, version


@contextmanager
def opened(directory: Any) -> Iterator[Assembly]:
    with assembled(Settings(store=StoreSettings(data_dir=directory))) as parts:
        yield parts


class Books:
    """A ledger that is posted to, and what it must say, kept in plain Python."""

    def __init__(self, parts: Assembly) -> None:
        self.parts = parts
        self.stands: Standing = {}
        self.waiting: list[dict[str, Any]] = []
        self.cuts: list[tuple[datetime, Standing]] = []
        self.documents: dict[tuple[str, str], bytes] = {}
        self.posted = 0
        for name in TABLES:
            parts.store.command(f"TRUNCATE TABLE otel.{name}")

    def post(self, call: str, key: Key, cost: Decimal | None) -> None:
        """A call as it is from now on."""
        self.take_back(call)
        self.posted += 1
        self.stands[call] = (key, cost, self.posted)
        self._row(call, 1)

    def take_back(self, call: str) -> None:
        """A call that was none."""
        if call in self.stands:
            self._row(call, -1)
            del self.stands[call]

    def _row(self, call: str, sign: int) -> None:
        (month, team), cost, version = self.stands[call]
        at = int(datetime.fromisoformat(f"{month}-15T12:00:00+00:00").timestamp()) * 10**9
        entered = None if sign > 0 else self._entered(call, version)
        row = plain("genai_ledger", call_key=call, tenant="t", team=team, model="m", started_at=at, ended_at=at)
        row |= {"cost_usd": cost, "input_tokens": 7, "sign": sign, "version": version, "entered_at": entered}
        self.waiting.append(row)

    def _entered(self, call: str, version: int) -> int | None:
        sql = (
            "SELECT posted_at FROM otel.genai_ledger WHERE call_key = {k:String} AND version = {v:UInt64} AND sign = 1"
        )
        found = self.parts.store.arrow(sql, {"k": call, "v": version})["posted_at"]
        return int(found[0].timestamp() * 1000 + 0.5) if len(found) else None

    def write(self) -> None:
        """What was posted goes through the spool, as the entries of `reprice` do; pairs that cancel never arrive."""
        signs: dict[tuple[str, int], int] = defaultdict(int)
        for row in self.waiting:
            signs[row["call_key"], row["version"]] += row["sign"]
        rows = [row for row in self.waiting if signs[row["call_key"], row["version"]]]
        self.waiting = []
        if rows:
            entries = frame("genai_ledger", rows).select(LEDGER_COLUMNS)
            self.parts.spool.append({"genai_ledger": entries}, "t", digests=())
            assert self.parts.writer.drain(60)

    def close(self, month: str) -> None:
        self.write()
        said, new = closing.close(self.parts, month, "UTC", NOW)
        assert new
        self.cuts.append((said.cut_at, dict(self.stands)))
        for form in show.DOCUMENTS:
            self.documents[month, form] = show.document(direct(self.parts.store), month, form)

    def stated(self) -> dict[Key, Decimal]:
        """Dollars by month and team over all statements."""
        sql = "SELECT of_period, team, sum(cost_usd) AS cost FROM otel.genai_statement GROUP BY of_period, team"
        rows = self.parts.store.arrow(sql).iter_rows()
        return {(month, team): cost for month, team, cost in rows if cost}

    def as_of(self, moment: datetime) -> dict[Key, tuple[int, Decimal]]:
        sql = f"""SELECT formatDateTime(c.started_at, '%Y-%m') AS month, c.team AS team, count() AS calls,
            ifNull(sum(c.cost_usd), 0) AS cost FROM {CALLS_AS_OF} AS c GROUP BY month, team"""
        rows = table(direct(self.parts.store), sql, {"as_of": moment.isoformat()}).rows
        return {(month, team): (calls, Decimal(cost)) for month, team, calls, cost in rows}


def sums(stands: Standing) -> dict[Key, Decimal]:
    found: dict[Key, Decimal] = defaultdict(Decimal)
    for key, cost, _ in stands.values():
        found[key] += cost or 0
    return {key: cost for key, cost in found.items() if cost}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assembly]:
    with opened(tmp_path_factory.mktemp("books") / "data") as assembly:
        yield assembly


_COSTS = st.none() | st.integers(0, 10**14).map(lambda units: Decimal(units).scaleb(-12))
_POST = st.tuples(st.just("post"), st.integers(0, 5), st.sampled_from(MONTHS), st.sampled_from(TEAMS), _COSTS)
_TAKE = st.tuples(st.just("take"), st.integers(0, 5))
_OTHERS = st.tuples(st.sampled_from(["write", "merge"]))
_STEPS = st.lists(st.one_of(_POST, _POST, _POST, _TAKE, _OTHERS), max_size=8)


@settings(max_examples=8)
@given(st.lists(_STEPS, min_size=4, max_size=4))
def test_every_dollar_is_in_one_statement(parts: Assembly, lives: Sequence[Sequence[Any]]) -> None:
    """Whatever is posted, reversed, repriced, moved or merged between closings: all statements and what is still open
    add up to the ledger, to the last digit; statements written stay the same bytes; what stood at a cut can be asked.
    """
    books = Books(parts)
    for steps, month in zip(lives, (*MONTHS, None), strict=True):
        for kind, *said in steps:
            if kind == "post":
                call, of_month, team, cost = said
                books.post(f"{of_month} {call}", (of_month, team), cost)
            elif kind == "take":
                for of_month in MONTHS:
                    books.take_back(f"{of_month} {said[0]}")
            else:
                books.write()
                if kind == "merge":
                    parts.store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")
        if month is not None:
            books.close(month)
            closed = MONTHS[: MONTHS.index(month) + 1]
            assert books.stated() == {key: cost for key, cost in sums(books.stands).items() if key[0] in closed}
        else:
            books.write()
    ledger = parts.store.arrow("SELECT sum(cost_usd * sign) AS cost FROM otel.genai_ledger")["cost"].item() or 0
    last = books.cuts[-1][1]
    still_open = sum(sums(books.stands).values(), Decimal(0)) - sum(sums(last).values(), Decimal(0))
    assert sum(books.stated().values(), Decimal(0)) + still_open == ledger == sum(sums(books.stands).values())
    parts.store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")
    for cut, stood in books.cuts:
        found = books.as_of(cut)
        assert {key: cost for key, (_, cost) in found.items() if cost} == sums(stood)
        assert sum(calls for calls, _ in found.values()) == len(stood)
    for (month, form), document in books.documents.items():
        assert show.document(direct(parts.store), month, form) == document


def test_an_adjustment_is_in_the_next_statement(parts: Assembly) -> None:
    """A late call, a new price, a call of another team, a call that was none: rows of kind adjustment in the next
    month's statement say what changed, and of which month; the closed month says what it said."""
    books = Books(parts)
    for call, team, cost in (
        ("a", "search", "1.25"),
        ("b", "search", "2"),
        ("c", "support", "4"),
        ("d", "support", "8"),
    ):
        books.post(call, ("2026-01", team), Decimal(cost))
    books.close("2026-01")
    books.post("late", ("2026-01", "search"), Decimal("0.000000000001"))
    books.post("a", ("2026-01", "search"), Decimal("1.5"))
    books.post("c", ("2026-01", "search"), Decimal(4))
    books.take_back("d")
    books.post("x", ("2026-02", "search"), None)
    books.close("2026-02")
    ask = direct(parts.store)
    answer = show.rows(ask, "2026-02")
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    told = [(row["kind"], row["of_period"], row["team"], row["calls"], row["cost_usd"]) for row in rows]
    assert told == [
        ("usage", "2026-02", "search", 1, None),
        ("adjustment", "2026-01", "search", 2, "4.250000000001"),
        ("adjustment", "2026-01", "support", -2, "-12"),
    ]
    assert rows[0]["unpriced_calls"] == 1 and rows[1]["input_tokens"] == 14 and rows[2]["input_tokens"] == -14
    first = show.rows(ask, "2026-01")
    assert [row[first.columns.index("cost_usd")] for row in first.rows] == ["12", "3.25"]


def test_closing_again_changes_nothing(parts: Assembly) -> None:
    """A month that is closed already answers with its closing, also after something was posted, and writes no row."""
    books = Books(parts)
    books.post("a", ("2026-01", "search"), Decimal(1))
    books.close("2026-01")
    books.post("b", ("2026-01", "search"), Decimal(1))
    books.write()
    before = closings(direct(parts.store))
    said, new = closing.close(parts, "2026-01", "UTC", NOW)
    assert (said, new) == (before[0], False) and closings(direct(parts.store)) == before
    assert said.calls == 1


@pytest.mark.parametrize(
    ("month", "sentence"),
    [
        ("2026-11", "2026-11 is not over before 2026-12-01 00:00 UTC (--unfinished)"),
        ("2026-12", "2026-12 has not begun"),
        ("2026-13", "'2026-13' is no month such as 2026-11"),
        ("november", "'november' is no month such as 2026-11"),
    ],
)
def test_what_cannot_be_closed_says_why(parts: Assembly, month: str, sentence: str) -> None:
    """A month that is not over, has not begun, or is none is refused in a sentence; nothing is written."""
    Books(parts)
    with pytest.raises(Refused) as refused:
        closing.close(parts, month, "UTC", NOW)
    assert refused.value.sentence == sentence and not closings(direct(parts.store))


def test_months_follow_one_another(parts: Assembly) -> None:
    """After the first, only the next month can be closed, and it begins where the last ended: when the time zone of
    the configuration changes, no call is in two statements or in none."""
    books = Books(parts)
    books.close("2026-01")
    with pytest.raises(Refused, match="2026-01 was closed last, so 2026-02 is the next to close"):
        closing.close(parts, "2026-03", "UTC", NOW)
    moved, _ = closing.close(parts, "2026-02", "America/New_York", NOW)
    assert moved.starts_at == datetime(2026, 2, 1, tzinfo=UTC) and moved.ends_at == datetime(2026, 3, 1, 5, tzinfo=UTC)
    after, _ = closing.close(parts, "2026-03", "America/New_York", NOW)
    assert after.starts_at == moved.ends_at and after.ends_at == datetime(2026, 4, 1, 4, tzinfo=UTC)


def test_an_unfinished_month_goes_on_in_the_next(parts: Assembly) -> None:
    """What starts in the rest of a month that was closed early is an adjustment of the next statement."""
    books = Books(parts)
    early = datetime(2026, 2, 20, tzinfo=UTC)
    books.post("a", ("2026-02", "search"), Decimal(1))
    books.write()
    said, _ = closing.close(parts, "2026-02", "UTC", early, unfinished=True)
    assert said.unfinished and said.calls == 1
    books.post("b", ("2026-02", "search"), Decimal(2))
    books.close("2026-03")
    assert books.stated() == {("2026-02", "search"): Decimal(3)}


def test_a_closing_that_was_cut_off_does_not_count(parts: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without their closing's own row are nobody's: closing again states everything once."""
    books = Books(parts)
    books.post("a", ("2026-01", "search"), Decimal(1))
    books.write()
    written = closing.results.write

    def cut_off(store: Any, rows: pl.DataFrame, token: str, name: str) -> None:
        if name == "genai_closing":
            raise OSError("the machine stopped")
        written(store, rows, token, name)

    with monkeypatch.context() as patch:
        patch.setattr(closing.results, "write", cut_off)
        with pytest.raises(OSError, match="stopped"):
            closing.close(parts, "2026-01", "UTC", NOW)
    books.close("2026-01")
    books.close("2026-02")
    second = show.rows(direct(parts.store), "2026-02")
    assert not second.rows
    assert statement.stated(parts.store, "2026-01")["cost_usd"].to_list() == [Decimal(1)]


def test_what_the_ledger_forgets_stays_stated(parts: Assembly) -> None:
    """Retention drops old calls from the ledger; that is no adjustment."""
    books = Books(parts)
    books.post("a", ("2026-01", "search"), Decimal(1))
    books.close("2026-01")
    try:
        parts.store.command("ALTER TABLE otel.genai_ledger MODIFY TTL toDateTime(started_at) + toIntervalDay(30)")
        parts.store.command("OPTIMIZE TABLE otel.genai_ledger FINAL")
        assert parts.store.command("SELECT count() FROM otel.genai_ledger") == "0"
        books.close("2026-02")
    finally:
        parts.store.command("ALTER TABLE otel.genai_ledger REMOVE TTL")
    assert books.stated() == {("2026-01", "search"): Decimal(1)}


def test_a_clock_that_ran_ahead_is_noticed(parts: Assembly) -> None:
    """With a posting dated into the future no cut would hold: closing refuses."""
    Books(parts)
    parts.store.command("INSERT INTO otel.genai_ledger (posted_at, sign) SELECT now() + toIntervalDay(1), 1")
    with pytest.raises(Refused, match="which is to come: check the clock"):
        closing.close(parts, "2026-01", "UTC", NOW)


def test_altered_documents_are_found(parts: Assembly) -> None:
    """A stored document that is not what was written is refused, not handed out."""
    books = Books(parts)
    books.close("2026-01")
    parts.store.command("ALTER TABLE otel.genai_closing UPDATE csv = 'x' WHERE 1 SETTINGS mutations_sync = 1")
    with pytest.raises(Refused, match="SHA-256 differs"):
        show.document(direct(parts.store), "2026-01", "csv")
