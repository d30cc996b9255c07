"""The parts of an import: windows over a moving table, progress, prices, the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_exporter.config.values import Secret
from otel_exporter.failures import Refused, RetryLater
from otel_exporter.imports import prices
from otel_exporter.imports.litellm import Importer
from otel_exporter.imports.progress import Progress
from otel_exporter.litellm_api import directory, spend_logs
from otel_exporter.litellm_api.client import LiteLLM, read_key
from otel_exporter.living_prices import LivingPrices
from otel_exporter.pricebook import price_book
from processors.batch import Signal
from tests.litellm_books import KEY, Books, serving, spend_log

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
HOURS = st.integers(0, 80)


@pytest.mark.parametrize("spread", [timedelta(seconds=20), timedelta(milliseconds=1), timedelta(0)])
def test_no_row_is_missed_however_they_crowd(spread: timedelta) -> None:
    """Rows spread out, in a burst, or all in one instant, whose order changes with every page: each one is found."""
    books = Books([spend_log(number, BEGIN + spread * number) for number in range(230)], busy_every=5)
    with serving(books) as url:
        proxy = LiteLLM(url, Secret(KEY), per_second=1000)
        found = list(spend_logs.windows(proxy, BEGIN, BEGIN + timedelta(days=1), page=40))
    assert {row["request_id"] for window in found for row in window.rows} == {row["request_id"] for row in books.rows}
    assert found[0].start == BEGIN and found[-1].end == BEGIN + timedelta(days=1)
    assert all(one.end == next_one.start for one, next_one in pairwise(found))


@given(st.lists(st.tuples(HOURS, HOURS), max_size=6), HOURS, HOURS)
def test_what_is_missing_and_what_is_done_are_all(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[int, int]], start: int, end: int
) -> None:
    """Of any span of time every hour is either done or missing, never both; a new process knows the same."""
    directory = tmp_path_factory.mktemp("progress")
    progress = Progress(directory, "http://proxy", "acme")
    for first, last in done:
        progress.add(BEGIN + timedelta(hours=first), BEGIN + timedelta(hours=last))
    again = Progress(directory, "http://proxy", "acme")
    assert again.done == progress.done
    stretches = list(again.missing(BEGIN + timedelta(hours=start), BEGIN + timedelta(hours=end)))
    for hour in range(start, end):
        moment = BEGIN + timedelta(hours=hour, minutes=30)
        is_done = any(first <= hour < last for first, last in done)
        assert sum(first <= moment < last for first, last in stretches) == (not is_done)
    assert all(first.date() == (last - timedelta(microseconds=1)).date() for first, last in stretches)
    assert not Progress(directory, "http://proxy", "other").done


class _Recorder:
    """A door that only remembers what came."""

    def __init__(self) -> None:
        self.records: list[str] = []

    def ask(self, sql: str, parameters: object, fmt: str = "", /) -> bytes:
        raise NotImplementedError

    def send(self, signal: Signal, body: bytes) -> None:
        for block in ExportLogsServiceRequest.FromString(body).resource_logs:
            for record in block.scope_logs[0].log_records:
                said = {pair.key: pair.value.string_value for pair in record.attributes}
                self.records.append(said.get("litellm.spend_log.request_id", record.event_name))

    def settle(self) -> None:
        pass


def test_watching_brings_what_is_new_and_nothing_twice(tmp_path: Path) -> None:
    """Looks at the same proxy an hour apart: each row and name is sent once, also one that was booked late."""
    now = BEGIN + timedelta(hours=5)
    books, door = Books([spend_log(number, BEGIN + timedelta(minutes=number)) for number in range(300)]), _Recorder()
    with serving(books) as url:
        proxy = LiteLLM(url, Secret(KEY), per_second=1000)
        clock = [now.timestamp()]
        importer = Importer(proxy, door, Progress(tmp_path, url, "acme"), tmp_path, lambda: clock[0])
        assert (importer.bring_names().names, importer.bring_names().names) == (11, 0)
        door.records.clear()
        counts = [importer.bring_rows(BEGIN, lambda _seconds: None).rows for _ in range(2)]
        late, new = spend_log(1000, now - timedelta(minutes=50)), spend_log(1001, now + timedelta(minutes=10))
        books.rows += [late, new]
        books.__post_init__()
        clock[0] += 3000
        counts.append(importer.bring_rows(BEGIN, lambda _seconds: None).rows)
    assert counts == [300, 0, 2]
    assert len(door.records) == len(set(door.records)) == 302


def test_the_directory_is_read_page_by_page() -> None:
    """Organisations, teams, keys and users with their limits; what a proxy does not have is named, not fatal."""
    books = Books([])
    with serving(books) as url:
        known = directory.read(LiteLLM(url, Secret(KEY), per_second=1000))
        books._organization_list = None  # type: ignore[assignment,method-assign]
        partly = directory.read(LiteLLM(url, Secret(KEY), per_second=1000))
    assert known.name("team", "t-search") == "search" and known.name("team", "nobody") == ""
    assert {entry.max_budget_usd for entry in known.entries if entry.kind == "team"} == {"50.0"}
    assert not known.unread and partly.unread == ("organisations",)


def test_an_imported_price_counts_only_where_there_is_none(tmp_path: Path) -> None:
    """The table's price wins, then the configuration's; a model nobody knows has the gateway's, marked as imported."""
    own = {"input_cost_per_token": "1e-06", "output_cost_per_token": "2e-06", "supports_cost": "x"}
    prices.keep(tmp_path, {"openai/acme-own-7b": own, "openai/gpt-4o-mini": own, "openai/acme-free": own})
    free = {"models": ["acme-free"], "free": True}
    book = price_book(data_dir=tmp_path, overrides=[free])
    versions = {
        model: book.rate_line({"provider": "openai", "model": model, "input_tokens": 10, "output_tokens": 1}).version
        for model in ("acme-own-7b", "gpt-4o-mini", "acme-free")
    }
    assert versions["acme-own-7b"] == "override:imported:openai/acme-own-7b"
    assert "imported" not in versions["gpt-4o-mini"] and versions["acme-free"] == "override:acme-free"
    assert prices.overrides(tmp_path, {"acme-own-7b", "gpt-4o-mini", "acme-free"}) == []


def test_imported_prices_are_used_at_once(tmp_path: Path) -> None:
    """A running pipeline prices the next batch by what an import brought; a broken file leaves the prices as they were,
    and the next good one counts.
    """
    living = LivingPrices(tmp_path, lambda: price_book(data_dir=tmp_path))
    call = pl.DataFrame({"provider": ["openai"], "model": ["acme-own-7b"], "input_tokens": [10], "output_tokens": [1]})

    def cost() -> Decimal | None:
        found: Decimal | None = living(call)["cost_usd"][0]
        return found

    assert cost() is None
    prices.keep(tmp_path, {"openai/acme-own-7b": {"input_cost_per_token": "1e-06", "output_cost_per_token": "2e-06"}})
    assert cost() == Decimal("0.000012")
    file = tmp_path / "imports" / "prices.json"
    good = file.read_text()
    file.write_text(good.replace("1e-06", "a lot"))
    assert cost() == Decimal("0.000012")
    file.write_text(good.replace("1e-06", "3e-06"))
    assert cost() == Decimal("0.000032")


def test_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    """What cannot be reached, is no proxy, or is no address is one sentence, and never quotes the key."""
    slept: list[float] = []
    nobody = LiteLLM("http://127.0.0.1:9", Secret(KEY), sleep=slept.append)
    with pytest.raises(RetryLater, match="cannot be reached") as refused:
        nobody.get("/team/list")
    assert KEY not in str(refused.value) and slept
    with serving(Books([])) as url, pytest.raises(Refused, match="answers 404"):
        LiteLLM(url, Secret(KEY)).get("/nothing")
    for address in ("ftp://x", "litellm", "http://user:pass@host"):
        with pytest.raises(Refused, match="--url"):
            LiteLLM(address, Secret(KEY))
    (tmp_path / "two").write_text("sk-1 sk-2")
    for file in ("two", "none"):
        with pytest.raises(Refused, match="key file"):
            read_key(tmp_path / file)
