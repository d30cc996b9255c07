"""What counters say grew, and what of it the ledger has: exact under restarts, repetition, order and temporality."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse_schema import retention
from clickhouse_schema.store import Store
from tests.unit.clickhouse_schema import rows
from tests.unit.clickhouse_schema.conftest import Put

HOUR = 3_600 * 10**9
#: A whole hour, two days ago: the newest hour that is looked at.
LAST = (rows.NOW // HOUR - 48) * HOUR
DELTA, CUMULATIVE = 1, 2
TABLES = ("otel_metrics_histogram", "otel_metrics_exponential_histogram", "otel_metrics_sum")
_SIMPLE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_WITHIN = f"since = toDateTime({LAST // 10**9} - 36000), until = toDateTime({LAST // 10**9} + 7200)"


def point(table: str, started: int, at: int, grown: float, temporality: int, **said: str) -> dict[str, Any]:
    """A point of the counter of tokens, ``grown`` tokens since it ``started``."""
    attributes = {"gen_ai.request.model": "gpt", "gen_ai.token.type": "input", **said}
    value = {"Value": grown} if table == "otel_metrics_sum" else {"Count": 1, "Sum": grown}
    return rows.plain(
        table,
        ServiceName="shop",
        MetricName="gen_ai.client.token.usage",
        Attributes=attributes,
        ResourceAttributes={"service.name": "shop"},
        StartTimeUnix=started,
        TimeUnix=at,
        AggregationTemporality=temporality,
        **value,
    )


@dataclass(frozen=True)
class Process:
    """A life of a program: when it began, what it counted from export to export, and which exports never arrived."""

    began: int
    counted: list[int]
    lost: frozenset[int]
    temporality: int

    @property
    def exported(self) -> int:
        """What whoever has the points can know: of a cumulative counter, all up to the last point that arrived."""
        arrived = [number for number in range(len(self.counted)) if number not in self.lost]
        if self.temporality == DELTA:
            return sum(self.counted[number] for number in arrived)
        return sum(self.counted[: arrived[-1] + 1]) if arrived else 0

    def points(self, table: str) -> Iterator[dict[str, Any]]:
        """As its exporter sends them, a minute apart."""
        for number in range(len(self.counted)):
            if number in self.lost:
                continue
            at = self.began + (number + 1) * 60 * 10**9
            is_delta = self.temporality == DELTA
            started = at - 60 * 10**9 if is_delta else self.began
            grown = self.counted[number] if is_delta else sum(self.counted[: number + 1])
            yield point(table, started, at, float(grown), self.temporality)


@st.composite
def lives(draw: st.DrawFn) -> list[Process]:
    """Programs one after the other and beside each other, most of them restarts of the same."""
    made = []
    for began in draw(st.lists(st.integers(LAST - 9 * HOUR, LAST), min_size=1, max_size=5, unique=True)):
        counted = draw(st.lists(st.integers(0, 5_000), min_size=1, max_size=12))
        lost = draw(st.frozensets(st.integers(0, len(counted) - 1), max_size=3))
        made.append(Process(began, counted, lost, draw(st.sampled_from([DELTA, CUMULATIVE]))))
    return made


@_SIMPLE
@given(processes=lives(), table=st.sampled_from(TABLES), seed=st.integers(0, 2**32))
def test_growth_is_what_was_counted(store: Store, put: Put, processes: list[Process], table: str, seed: int) -> None:
    """Restarts, lost exports, repeated points, any order, either temporality: growth is the sum of what was counted."""
    retention.keep(store, dict.fromkeys(retention.FAMILIES, 0))
    for each in TABLES:
        store.command(f"TRUNCATE TABLE otel.{each}")
    dice = random.Random(seed)
    points = [made for process in processes for made in process.points(table)]
    points += [dict(made) for made in points if dice.random() < 0.2]
    dice.shuffle(points)
    for number, part in enumerate((points[::2], points[1::2])):
        if part:
            put(table, rows.frame(table, part), token=f"{seed}/{number}")
    assert growth(store) == sum(process.exported for process in processes)


def growth(store: Store, within: str = _WITHIN) -> float:
    """All that grew."""
    return float(store.arrow(f"SELECT sum(growth) AS grown FROM otel.genai_counted({within})")["grown"][0])


@pytest.mark.parametrize(
    ("started", "values", "grown"),
    [
        ("unset", [100, 130, 20, 25], 55),  # what it was before is not known; it falls: it began anew
        ("first point", [100, 130, 150], 50),  # as a scraper says that it does not know
        ("days ago", [100, 130], 30),  # what it counted before is of another day
        ("a minute before", [100, 130], 130),
    ],
)
def test_a_first_point_counts_when_its_beginning_is_known(
    store: Store, put: Put, started: str, values: list[int], grown: int
) -> None:
    """Only growth that is known to be of this time counts, and a value that falls is a counter that began anew."""
    table, first = "otel_metrics_sum", LAST
    begun = {"unset": 0, "first point": first, "days ago": LAST - 72 * HOUR, "a minute before": first - 60 * 10**9}
    made = [
        point(table, begun[started], first + number * 60 * 10**9, float(value), CUMULATIVE)
        for number, value in enumerate(values)
    ]
    put(table, rows.frame(table, made))
    assert growth(store) == grown


def test_growth_is_of_the_hour_it_grew_in(store: Store, put: Put) -> None:
    """An export just after the full hour tells of the hour before; parts of the time add up to the whole."""
    table = "otel_metrics_sum"
    made = [point(table, LAST - HOUR, LAST + second * 10**9, 7.0 * second, CUMULATIVE) for second in (-55, 5, 65)]
    made = [{**each, "Value": 7.0 * (number + 1)} for number, each in enumerate(made)]
    put(table, rows.frame(table, made))
    hour = LAST // 10**9
    before = f"since = toDateTime({hour} - 7200), until = toDateTime({hour})"
    after = f"since = toDateTime({hour}), until = toDateTime({hour} + 3600)"
    assert (growth(store, before), growth(store, after)) == (14, 7)


def test_values_that_cannot_be_are_left_out(store: Store, put: Put) -> None:
    """NaN, infinities, negative and absurd numbers, unknown temporality and what is no call spoil nothing."""
    table = "otel_metrics_sum"
    made = [
        point(table, LAST - 1, LAST + n, value, DELTA) for n, value in enumerate((float("nan"), float("inf"), -5.0))
    ]
    made += [point(table, LAST - 1, LAST + 5, 1e300, DELTA), point(table, LAST - 1, LAST + 6, 3.0, 0)]
    made += [point(table, LAST - 1, LAST + 7, 3.0, DELTA, **{"gen_ai.operation.name": "invoke_agent"})]
    made += [point(table, LAST - 1, LAST + 8, 11.0, DELTA)]
    put(table, rows.frame(table, made))
    assert growth(store) == 11
    assert completeness(store)["shop", "input_tokens", "gpt"][0] == 11


def entry(number: int, **said: Any) -> dict[str, Any]:
    """A call of the service ``shop``."""
    observed = {"application": "shop", "source": "otel.genai", **said.pop("observed", {})}
    row = {
        "call_key": f"call-{number}",
        "version": number + 1,
        "tenant": "acme",
        "application": "shop",
        "model": "gpt-1",
        "requested_model": "gpt",
        "response_model": "gpt-1",
        "started_at": LAST + number * 10**9,
        "ended_at": LAST + number * 10**9 + 1,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_usd": 0.25,
        "sources": ["otel.genai"],
        "said": [observed],
        **said,
    }
    return rows.plain("genai_ledger", **row)


def completeness(store: Store, within: str = _WITHIN) -> dict[tuple[str, str, str], tuple[Decimal, Decimal, str]]:
    """Expected, seen and tenant by source, measure and model."""
    found = store.arrow(
        f"""SELECT source, measure, model, sum(expected) AS e, sum(seen) AS s, any(tenant) AS t, sum(missing) AS m
        FROM otel.genai_completeness({within}) GROUP BY ALL"""
    )
    assert all(e - s == m for *_, e, s, _, m in found.iter_rows())
    return {(source, measure, model): (e, s, t) for source, measure, model, e, s, t, _ in found.iter_rows()}


def test_seen_are_the_standing_calls_of_the_service(store: Store, put: Put) -> None:
    """A reversed call is not seen, one of two services is seen of each, the model has the counter's name."""
    table = "otel_metrics_histogram"
    put(table, rows.frame(table, [point(table, LAST - 1, LAST + HOUR // 2, 50.0, DELTA)]))
    gateway = {"application": "gateway", "source": "litellm.v2"}
    posted = [
        entry(1),
        entry(2, said=[{"application": "shop", "source": "otel.genai"}, gateway, gateway]),
        entry(3),
        {**entry(3), "sign": -1},
        entry(4, said=[gateway]),
    ]
    put("genai_ledger", rows.frame("genai_ledger", posted))
    assert completeness(store) == {("shop", "input_tokens", "gpt"): (50, 20, "acme")}


def test_two_instrumentations_of_one_service_count_the_same_calls(store: Store, put: Put) -> None:
    """Of several scopes that count the same model the largest is believed, not their sum."""
    table = "otel_metrics_histogram"
    made = [{**point(table, LAST, LAST + HOUR // 2, float(n), DELTA), "ScopeName": f"scope-{n}"} for n in (30, 40)]
    put(table, rows.frame(table, made))
    put("genai_ledger", rows.frame("genai_ledger", [entry(0)]))
    assert completeness(store)["shop", "input_tokens", "gpt"] == (40, 10, "acme")


def test_a_tenant_is_named_only_when_it_is_one(store: Store, put: Put) -> None:
    """Metrics have no tenant: a service that two tenants have belongs to none of them."""
    table = "otel_metrics_histogram"
    put(table, rows.frame(table, [point(table, LAST, LAST + HOUR // 2, 20.0, DELTA)]))
    put("genai_ledger", rows.frame("genai_ledger", [entry(1), entry(2, tenant="other")]))
    assert completeness(store)["shop", "input_tokens", "gpt"] == (20, 20, "")


def test_nothing_is_expected_of_whom_nothing_counts(store: Store, put: Put) -> None:
    """A service without counters is not compared: what it should have sent is unknown, not zero."""
    put("genai_ledger", rows.frame("genai_ledger", [entry(1)]))
    assert completeness(store) == {}


def test_numbers_of_the_callback_are_compared_with_its_calls(store: Store, put: Put) -> None:
    """Records lost between others and at the end, and those dropped where they were made, are missing attempts."""
    logs = [
        {"litellm.callback.instance": "a", "litellm.callback.sequence": str(number)} for number in (1, 2, 4, 5, 7)
    ] + [{"litellm.callback.instance": "a", "litellm.callback.seen": "9"}]
    made = [
        rows.plain("otel_logs", ServiceName="shop", Timestamp=LAST + number * 10**9, LogAttributes=said)
        for number, said in enumerate(logs)
    ]
    put("otel_logs", rows.frame("otel_logs", made))
    callback = {"observed": {"source": "litellm.callback"}}
    put("genai_ledger", rows.frame("genai_ledger", [entry(number, **callback) for number in range(5)]))
    assert completeness(store) == {("shop", "attempts", ""): (9, 5, "acme")}


def test_an_import_is_compared_with_what_came_by_itself(store: Store, put: Put) -> None:
    """Booked calls are expected, those that telemetry saw too are seen; before there was any, nothing is missing."""
    booked = {"application": "litellm (imported)", "source": "litellm.spend_log"}
    both = {"said": [{"application": "gateway", "source": "litellm.v2"}, booked]}
    posted = [
        entry(0, started_at=LAST - 2 * HOUR, ended_at=LAST - 2 * HOUR, said=[booked], sources=["litellm.spend_log"]),
        entry(1, **both, sources=["litellm.spend_log", "litellm.v2"]),
        entry(2, said=[booked], sources=["litellm.spend_log"]),
    ]
    put("genai_ledger", rows.frame("genai_ledger", posted))
    found = completeness(store)
    assert found["litellm (imported)", "calls", "gpt-1"] == (2, 1, "acme")
    assert found["litellm (imported)", "cost_usd", "gpt-1"] == (Decimal("0.5"), Decimal("0.25"), "acme")


def test_silence_is_measured_by_habit(store: Store, put: Put) -> None:
    """Who was never quiet for more than an hour is soon silent, who sleeps at weekends is not; keys are told, too."""
    now = LAST
    hours = {
        "steady": range(5, 200),
        "asleep": [h for h in range(30, 200) if (h // 30) % 2],
        "here": range(1, 200),
    }
    posted = [
        entry(n * 1000 + h, application=name, api_key_alias=f"key of {name}", started_at=now - h * HOUR)
        for n, (name, ago) in enumerate(hours.items())
        for h in ago
    ]
    put("genai_ledger", rows.frame("genai_ledger", posted))
    moment = datetime.fromtimestamp(now / 1e9, UTC)
    found = store.arrow("SELECT * FROM otel.genai_silence(now = {now:DateTime('UTC')})", {"now": moment})
    said = {(row["kind"], row["name"]): row for row in found.iter_rows(named=True)}
    steady = said["application", "steady"]
    assert (steady["usual_gap_hours"], steady["silent_hours"], steady["times"]) == (1, 4, 4)
    assert steady["last_active"] == moment - timedelta(hours=4)
    assert said["application", "asleep"]["times"] < 1
    assert said["application", "here"]["times"] == 0
    assert said["key", "key of steady"]["times"] == 4


def test_a_call_before_the_full_hour_may_be_counted_after_it(store: Store, put: Put) -> None:
    """The first and the last calls of a counter are compared even when its export puts them into the next hour."""
    table = "otel_metrics_histogram"
    put(table, rows.frame(table, [point(table, LAST + 10**9, LAST + 3 * 10**9, 20.0, DELTA)]))
    early, late = {"ended_at": LAST - 10**9}, {"ended_at": LAST + 2 * 10**9}
    posted = [entry(1, **early, started_at=LAST - 2 * 10**9), entry(2, **late)]
    put("genai_ledger", rows.frame("genai_ledger", posted))
    assert completeness(store)["shop", "input_tokens", "gpt"] == (20, 20, "acme")
