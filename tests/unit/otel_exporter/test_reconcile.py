"""Two writers that race on one store leave broken calls; reconcile finds and mends them, in a real ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema import runner
from clickhouse_schema.store import Store
from otel_exporter.asking import direct
from otel_exporter.poster import LedgerPoster
from otel_exporter.reconcile import EVERY_SECONDS, RETRY_SECONDS, Broken, Reconciler, find, repairs
from otel_exporter.spool import Spool
from otel_exporter.writer import Writer
from tests.unit.processors.test_post import free
from tests.unit.processors.worlds import EPOCH, Call, frame, observations_of, worlds

NOW = datetime(2026, 11, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NUMBER = count()
SUMS = """SELECT count() AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output
    FROM otel.genai_calls WHERE tenant = {tenant:String}"""
SIGNED = "SELECT sum(sign) AS calls, sum(input_tokens * sign) AS input FROM otel.genai_ledger WHERE tenant = {t:String}"


class Racing:
    """A store, and writers that read it before the other's entries are there."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.file = directory / "entries.arrow"
        self.poster = LedgerPoster(store, free, now=lambda: NOW)

    def post(self, tenant: str, *parts: list[dict[str, object]]) -> None:
        """Each part by a writer of its own, all at the same time."""
        frames = [frame([row | {"tenant": tenant} for row in part]) for part in parts if part]
        for tables in [self.poster.entries(tenant, observations) for observations in frames]:
            for entries in tables.values():
                self.insert(entries)

    def insert(self, entries: pl.DataFrame) -> None:
        entries.write_ipc(self.file)
        self.store.insert_file("genai_ledger", self.file, f"token-{next(NUMBER)}")

    def broken(self, tenant: str) -> list[Broken]:
        return [one for one in find(direct(self.store), EPOCH - DAY, EPOCH + DAY) if one.tenant == tenant]

    def mend(self, tenant: str) -> int:
        """Entries posted."""
        mended = repairs(self.store, self.broken(tenant), free, NOW)
        for entries in mended.values():
            self.insert(entries)
        return sum(entries.height for entries in mended.values())


@pytest.fixture(scope="module")
def racing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Racing]:
    directory = tmp_path_factory.mktemp("racing")
    with Store.embedded(directory / "data") as store:
        runner.apply(store)
        yield Racing(store, directory)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(max_calls=4), st.data())
def test_racing_writers_are_mended(racing: Racing, calls: list[Call], data: st.DataObject) -> None:
    """However two writers race, after one repair every call stands once with its tokens, and nothing looks broken."""
    tenant = f"t{next(NUMBER)}"
    rows = observations_of(calls)
    repeated = data.draw(st.integers(0, len(rows)))
    order = data.draw(st.permutations([*range(len(rows)), *range(repeated)]))
    while order:
        size = data.draw(st.integers(1, len(order)))
        group, order = [rows[place] for place in order[:size]], order[size:]
        cut = data.draw(st.integers(0, len(group)))
        racing.post(tenant, group[:cut], group[cut:])
    racing.mend(tenant)
    ok = [call.tokens for call in calls if not call.failed]
    truth = (len(calls), sum(tokens[0] for tokens in ok), sum(tokens[1] for tokens in ok))
    assert tuple(value or 0 for value in racing.store.arrow(SUMS, {"tenant": tenant}).row(0)) == truth
    signed = racing.store.arrow(SIGNED, {"t": tenant}).row(0)
    assert (signed[0], signed[1] or 0) == truth[:2]
    assert racing.mend(tenant) == 0
    assert {one.why for one in racing.broken(tenant)} <= {"shared id", "apart", "cache hit"}


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(max_calls=4))
def test_one_writer_leaves_nothing_to_mend(racing: Racing, calls: list[Call]) -> None:
    """With one writer, whose entries are in before it looks again, reconcile posts nothing."""
    tenant = f"t{next(NUMBER)}"
    for row in observations_of(calls):
        racing.post(tenant, [row])
    assert racing.mend(tenant) == 0


def test_what_is_broken_is_named(racing: Racing) -> None:
    """A double entry, two versions, a shared id and a wrapper apart are found under these names, and only they."""
    call = Call(1, 0, 0, (25, 12), False, None, frozenset({"gateway", "client", "wrapper"}))
    wrapper, client, gateway = (
        next(row for row in observations_of([call]) if row["source"] == source)
        for source in ("wrapper", "client", "litellm.v1")
    )
    racing.post("double", [gateway], [gateway])
    racing.post("versions", [gateway], [gateway, client])
    racing.post("apart", [wrapper], [client])
    other = client | {"response_id": "chatcmpl-ffffffffffffffffffffffff", "call_id": str(gateway["call_id"])}
    racing.post("shared", [other], [client])
    racing.post("fine", [gateway, client, wrapper])
    found = {tenant: {one.why for one in racing.broken(tenant)} for tenant in ("double", "versions", "apart", "shared")}
    assert found == {
        "double": {"unbalanced"},
        "versions": {"several versions"},
        "apart": {"apart"},
        "shared": {"shared id"},
    }
    assert racing.broken("fine") == []
    for tenant in found:
        racing.mend(tenant)
        assert racing.store.arrow(SUMS, {"tenant": tenant}).row(0) == (1, 25, 12)


def test_the_writer_mends_between_batches(racing: Racing, tmp_path: Path) -> None:
    """A writer mends recent calls when it starts and every hour, in a batch of its own before the next segment."""
    seconds = [0.0]
    recent = [
        row | _shifted(row) for row in observations_of([Call(1, 0, 0, (25, 12), False, None, frozenset({"raw"}))])
    ]
    racing.post("writer", recent, recent)
    reconciler = Reconciler(racing.store, free, clock=lambda: seconds[0])
    spool = Spool(tmp_path / "spool", max_bytes=2**24)
    writer = Writer(spool, racing.store, racing.poster, repairs=reconciler)
    spool.append({"observations": frame([row | {"tenant": "writer"} for row in recent])}, "writer", [b"1"])
    assert writer.step() and spool.segments()  # the repair alone
    assert racing.store.arrow(SUMS, {"tenant": "writer"}).row(0) == (1, 25, 12)
    assert writer.step() and not spool.segments() and not writer.step()
    racing.post("again", recent, recent)
    assert not writer.step()
    seconds[0] = EVERY_SECONDS
    assert writer.step()
    assert racing.store.arrow(SUMS, {"tenant": "again"}).row(0) == (1, 25, 12)
    spool.close()


def test_a_failing_repair_does_not_stop_the_writer(racing: Racing) -> None:
    """When looking fails, the writer goes on and it is tried again some minutes later, not at once."""
    asked = []
    seconds = [0.0]

    class Failing:
        is_embedded = True

        def raw(self, *_: object) -> bytes:
            asked.append(1)
            raise ValueError("no")

    reconciler = Reconciler(Failing(), free, clock=lambda: seconds[0])  # type: ignore[arg-type]
    assert reconciler() == {} and reconciler() == {} and len(asked) == 1
    seconds[0] = RETRY_SECONDS
    assert reconciler() == {} and len(asked) == 2


def _shifted(row: dict[str, object]) -> dict[str, object]:
    """Times of just now."""
    shift = datetime.now(UTC) - EPOCH - timedelta(minutes=5)
    started, ended = row["started_at"], row["ended_at"]
    assert isinstance(started, datetime) and isinstance(ended, datetime)
    return {"started_at": started + shift, "ended_at": ended + shift}


def test_a_rollup_that_is_not_the_ledgers_sum_is_mended(racing: Racing) -> None:
    """Rows that reached a rollup twice are taken back when the service starts, whenever the calls were."""
    racing.post(f"t{next(NUMBER)}", observations_of([Call(1, 1, 1, (10, 5), False, None, frozenset({"client"}))]))
    racing.store.command(
        "INSERT INTO otel.genai_rollup_hour SELECT * FROM otel.genai_rollup_hour SETTINGS insert_deduplicate = 0"
    )
    sums = "SELECT toInt64(sum(calls)) FROM otel.genai_rollup_"
    posted = int(racing.store.command("SELECT toInt64(sum(sign)) FROM otel.genai_ledger"))
    assert int(racing.store.command(f"{sums}hour")) == int(racing.store.command(f"{sums}day")) == 2 * posted > 0
    Reconciler(racing.store, free)()
    assert int(racing.store.command(f"{sums}hour")) == int(racing.store.command(f"{sums}day")) == posted
