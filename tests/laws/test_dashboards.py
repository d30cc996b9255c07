"""The laws of the dashboards: every query runs, returns what its panel needs and shows something for every emitter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as sdk
from grafana_foundation_sdk.models import units

from clickhouse_schema.store import Store
from grafana import generate
from grafana.macros import ALL, Window, expand, variables_of
from grafana.panels import features
from grafana.query import PLUGIN
from tests.laws.dashboard_data import ALONE, DAYS, END, filled

FOLDER = generate.FOLDER
BOARDS: dict[str, dict[str, Any]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in generate.NAMES
}
UIDS = {board["uid"]: board for board in BOARDS.values()}
#: Whose boards a newcomer opens first: they have to show something whatever sends.
FIRST = ("spend", "traffic")
#: Nothing to be seen is good news here, and shown as 0.
MAY_BE_ZERO = {"pipeline/Corrections"}
#: Spans and metric points have no tenant.
WITHOUT_TENANT = {"otel_traces", "otel_metrics_sum", "otel_metrics_gauge"}
SECONDS = {"m": 60, "h": 3600, "d": 86400, "M": 30 * 86400}
TEXT, NUMBER = (pl.String, pl.Categorical), pl.selectors.numeric()
every_board = pytest.mark.parametrize("name", BOARDS)


@dataclass(frozen=True)
class Asked:
    """A panel and its query."""

    board: str
    panel: Mapping[str, Any]
    sql: str

    def __str__(self) -> str:
        return f"{self.board}/{self.panel['title']}"

    @property
    def needs(self) -> tuple[str, ...]:
        """What fills it when not everybody's data do."""
        return features(self.panel["description"])

    @property
    def variables(self) -> list[Mapping[str, Any]]:
        """Of its board."""
        variables: list[Mapping[str, Any]] = BOARDS[self.board]["templating"]["list"]
        return variables


def panels(name: str) -> list[dict[str, Any]]:
    """What is drawn."""
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


ASKED = [
    Asked(name, panel, target["rawSql"]) for name in BOARDS for panel in panels(name) for target in panel["targets"]
]
every_panel = pytest.mark.parametrize("asked", ASKED, ids=str)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Everything, once."""
    with filled(tmp_path_factory.mktemp("dashboards") / "data") as store:
        yield store


def window(board: str, days: float | None = None) -> Window:
    """The time range a board opens with, as if now were the end of the data."""
    time = BOARDS[board]["time"]
    start, end = (_moment(text) for text in (time["from"], time["to"]))
    return Window(END - timedelta(days=days) if days else start, end, 3600)


def _moment(text: str) -> datetime:
    found = re.fullmatch(r"now(?:([+-]\d+)([mhdM]))?(/M)?", text)
    assert found, text
    moment = END + timedelta(seconds=int(found[1] or 0) * SECONDS[found[2] or "m"])
    return moment.replace(day=1, hour=0, minute=0) if found[3] else moment


def chosen(store: Store, asked: Asked, **given: str | list[str]) -> dict[str, str | list[str]]:
    """Every variable of the panel's board: what is given, else what it opens with."""
    choice: dict[str, str | list[str]] = dict(given)
    for variable in asked.variables:
        name = variable["name"]
        if name in choice or variable["type"] == "datasource":
            continue
        if variable["type"] == "query" and not variable["includeAll"]:
            choice[name] = next(iter(offered(store, asked.board, variable, choice)), "")
        else:
            choice[name] = ALL if variable.get("includeAll") else variable.get("current", {}).get("value", "")
    return choice


def offered(store: Store, board: str, variable: Mapping[str, Any], choice: Mapping[str, Any]) -> list[str]:
    """The values of a query variable; the data stay as they are, so that each question is asked once."""
    sql = expand(variable["query"]["rawSql"], window(board), choice)
    if sql not in _OFFERED:
        _OFFERED[sql] = [str(value) for value in store.arrow(sql).to_series()]
    return _OFFERED[sql]


_OFFERED: dict[str, list[str]] = {}


def answer(store: Store, asked: Asked, at: Window | None = None, **given: str | list[str]) -> pl.DataFrame:
    """What ClickHouse answers the panel."""
    if asked.board == "trace" and "trace_id" not in given:
        given["trace_id"] = store.arrow(
            "SELECT trace_id FROM otel.genai_calls WHERE tenant = 'litellm-proxy' AND observations > 1 LIMIT 1"
        ).item()
    return store.arrow(expand(asked.sql, at or window(asked.board), chosen(store, asked, **given)))


def shows(rows: pl.DataFrame, *, zero: bool = True) -> bool:
    """Whether there is something to see: a number that is known (and, unless ``zero`` will do, not 0)."""
    numbers = rows.select(NUMBER)
    known = [value for column in numbers for value in column.drop_nulls().to_list() if value == value]
    return any(zero or value for value in known)


@every_panel
def test_a_panel_gets_the_columns_it_needs(store: Store, asked: Asked) -> None:
    """Series begin with ascending times, numbers are one row, bars have a name, every column's unit has a column."""
    rows = answer(store, asked)
    kind, columns = asked.panel["type"], rows.columns
    numbers, texts = rows.select(NUMBER).columns, [name for name in columns if rows.schema[name] in TEXT]
    if asked.panel["targets"][0]["format"] == 0:
        assert columns[0] == "time" and rows.schema["time"].is_temporal()
        assert rows["time"].is_sorted() and rows["time"].null_count() == 0
        assert numbers and len(texts) <= 1
        shown = asked.panel["fieldConfig"]["defaults"].get("displayName", "")
        assert shown == (f"${{__field.labels.{texts[0]}}}" if texts else "")
    elif kind == "stat":
        assert rows.shape == (1, 1) and numbers
    elif kind == "barchart":
        assert columns[0] == asked.panel["options"]["xField"] and texts == columns[:1] and numbers
    elif kind == "bargauge":
        assert len(texts) == 1 and len(numbers) == 1
    elif kind == "xychart":
        assert len(numbers) >= 2
    elif kind == "traces":
        assert {"traceID", "spanID", "parentSpanID", "serviceName", "operationName", "startTime", "duration"} <= {
            *columns
        }
    named = {override["matcher"]["options"]: override["properties"] for override in _overrides(asked)}
    assert named.keys() <= {*columns}
    if kind == "table":
        with_unit = {name for name, properties in named.items() if any(each["id"] == "unit" for each in properties)}
        moments = {name for name in columns if rows.schema[name].is_temporal()}
        assert {*numbers, *moments} <= with_unit


def _overrides(asked: Asked) -> list[dict[str, Any]]:
    return [each for each in asked.panel["fieldConfig"]["overrides"] if each["matcher"]["id"] == "byName"]


@every_panel
def test_a_panel_shows_something(store: Store, asked: Asked) -> None:
    """Over the corpus and the demo's history no panel is empty, nor all zero; what is said to fill it does."""
    at = window(asked.board, None if asked.board in {"forecast", "chargeback"} else DAYS)
    assert shows(answer(store, asked, at), zero=str(asked) in MAY_BE_ZERO)


@pytest.mark.parametrize("emitter", ALONE)
@pytest.mark.parametrize("name", FIRST)
def test_the_first_boards_work_for_every_emitter_alone(store: Store, name: str, emitter: str) -> None:
    """With data of one emitter only, every panel of Spend and Traffic that needs nothing special shows something."""
    empty = [
        str(asked)
        for asked in ASKED
        if asked.board == name and not asked.needs and not shows(answer(store, asked, tenant=ALONE[emitter]))
    ]
    assert empty == []


@every_panel
def test_a_panel_is_narrowed_by_every_variable(store: Store, asked: Asked) -> None:
    """One value of each variable at once, with characters that would end a text, leaves nothing: nothing is ignored."""
    several = [each["name"] for each in asked.variables if each.get("includeAll")]
    if any(f"otel.{table} " in asked.sql for table in WITHOUT_TENANT):
        several = [name for name in several if name in variables_of(asked.sql)]
    for name in several:
        if name not in variables_of(asked.sql):
            assert name != "tenant", "whoever may see one tenant only must not see another"
            continue
        rows = answer(store, asked, **{name: ["it's nobody", "nor ) this"]})
        assert not shows(rows, zero=False)


@every_panel
def test_a_panel_takes_one_value_of_each_variable(store: Store, asked: Asked) -> None:
    """The most used value of every variable, and each of a fixed list's, runs."""
    for variable in asked.variables:
        if variable["name"] not in variables_of(asked.sql):
            continue
        if variable["type"] == "custom":
            options = [option.split(" : ")[1] for option in variable["query"].split(", ")]
        elif variable["type"] == "query":
            options = offered(store, asked.board, variable, chosen(store, asked))[:1]
        else:
            options = ["some text"]
        for option in options:
            answer(store, asked, **{variable["name"]: [option] if variable.get("multi") else option})


@every_board
def test_variables_offer_what_there_is(store: Store, name: str) -> None:
    """Every query variable offers values; those of which several can be chosen offer "all", and open with it."""
    asked = Asked(name, {}, "")
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] != "query":
            continue
        values = offered(store, name, variable, chosen(store, asked))
        assert values and len({*values}) == len(values), variable["name"]
        assert variable["refresh"] == 2 and variable["includeAll"] == variable["multi"]
        if variable["multi"]:
            assert variable["current"]["value"] == ALL


@every_board
def test_annotations_tell_what_happened(store: Store, name: str) -> None:
    """Price changes, anomalies and alerts: each runs, and shows the one there is."""
    asked = Asked(name, {}, "")
    at = Window(END - timedelta(days=DAYS), END)
    for annotation in BOARDS[name].get("annotations", {}).get("list", []):
        choice = chosen(store, asked)
        if "model" not in choice:
            choice["model"] = ALL
        rows = store.arrow(expand(annotation["target"]["rawSql"], at, choice))
        assert {"time", "title", "text", "tags"} <= {*rows.columns}
        assert rows.height >= 1, annotation["name"]


def test_spend_adds_up(store: Store) -> None:
    """The Spend board's total is the sum of the calls, and each breakdown adds up to it."""
    at = window("spend")
    wanted = store.arrow(
        expand(
            "SELECT toFloat64(sum(cost_usd)) FROM otel.genai_calls"
            " WHERE started_at >= toStartOfHour($__fromTime) AND started_at <= $__toTime",
            at,
            {},
        )
    ).item()
    total = answer(store, _find("spend/In the time range"))["cost_usd"].sum()
    assert total == pytest.approx(wanted)
    for title in ("By team", "By application", "By provider", "Spend over time", "Allocated and unallocated dollars"):
        assert answer(store, _find(f"spend/{title}"))["cost_usd"].sum() == pytest.approx(wanted), title


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("before", [timedelta(), timedelta(minutes=31), timedelta(days=3, hours=9, minutes=47)])
def test_the_month_is_that_of_the_ledger(store: Store, zone: str, before: timedelta) -> None:
    """Month to date, and the last day of its line, are the ledger's sum since the month began in UTC, anywhere."""
    end = END - before
    at, given = Window(end - timedelta(hours=1), end), f" SETTINGS session_timezone = '{zone}'"
    ends = end.replace(minute=0) + timedelta(hours=1)
    wanted = store.arrow(
        f"""SELECT toFloat64(sum(e.cost_usd * e.sign)) FROM otel.genai_ledger AS e
        WHERE e.started_at >= toDateTime('2026-11-01', 'UTC') AND e.started_at < toDateTime({int(ends.timestamp())})"""
    ).item()
    for panel, column in (("Month to date", "month_to_date"), ("The month against budget and forecast", "spent")):
        asked = _find(f"spend/{panel}")
        found = store.arrow(expand(asked.sql, at, chosen(store, asked)) + given)[column].drop_nulls()
        assert found[-1] == pytest.approx(wanted), panel


def test_effects_explain_the_week(store: Store) -> None:
    """Volume, price and mix are what they are defined to be, calculated independently, and add up to the change."""
    hour = END.replace(minute=0)
    end = f"toDateTime({int(hour.timestamp())})"
    calls = store.arrow(
        f"""SELECT c.model AS model, c.started_at < {end} - INTERVAL 7 DAY AS before,
        toFloat64(sum(ifNull(c.cost_usd, 0))) AS cost,
        sum(ifNull(c.input_tokens, 0) + ifNull(c.output_tokens, 0)) AS tokens
        FROM otel.genai_calls AS c
        WHERE c.tenant = 'DEMO' AND c.started_at >= {end} - INTERVAL 14 DAY GROUP BY model, before"""
    )
    weeks = [{row[0]: row[2:] for row in calls.filter(pl.col("before") == before).iter_rows()} for before in (1, 0)]
    found = dict(
        answer(
            store, _find("spend/Week over week"), Window(hour - timedelta(days=30), hour), tenant=["DEMO"]
        ).iter_rows()
    )
    cost0, cost1 = (sum(cost for cost, _ in week.values()) for week in weeks)
    assert found["all together"] == pytest.approx(cost1 - cost0)
    parts = found["volume"] + found["price"] + found["model mix"] + found["without tokens"]
    assert parts == pytest.approx(found["all together"])
    tokens0, tokens1 = (sum(tokens for _, tokens in week.values()) for week in weeks)
    assert found["volume"] == pytest.approx((tokens1 - tokens0) * cost0 / tokens0)
    price = sum(
        cost - tokens * weeks[0][model][0] / weeks[0][model][1]
        for model, (cost, tokens) in weeks[1].items()
        if tokens and weeks[0].get(model, (0, 0))[1]
    )
    assert found["price"] == pytest.approx(price)


def test_the_trace_board_shows_a_trace_without_being_told(store: Store) -> None:
    """With no id given, both panels show one trace of several calls; with one, that one; a wrong one, nothing."""
    calls, spans = _find("trace/Calls"), _find("trace/Spans")
    for days in (DAYS, 1):
        at = Window(END - timedelta(days=days), END)
        found = answer(store, calls, at, trace_id="")
        assert found.height > 1
        traces = answer(store, spans, at, trace_id="")["traceID"].unique()
        assert len(traces) == 1
        assert answer(store, calls, at, trace_id=traces.item()).equals(found)
    assert answer(store, calls, trace_id="none").is_empty()
    assert answer(store, spans, trace_id="none").is_empty()


def test_a_counter_shows_what_it_grew_by(store: Store) -> None:
    """From its process' start, and from point to point: the planted counters are 50 after ten minutes, 60 ten later."""
    asked = _find("pipeline/Accepted")
    assert answer(store, asked, Window(END - timedelta(hours=2), END))["grown"].to_list() == [50.0, 10.0]
    later = Window(END - timedelta(minutes=45), END)  # the first point is before it
    assert answer(store, asked, later)["grown"].to_list() == [10.0]


def test_percentiles_are_near_the_exact_ones(store: Store) -> None:
    """The histogram's p95 is within a bucket's width of the exact quantile."""
    at = window("traffic", DAYS)
    exact = store.arrow(
        expand(
            "SELECT quantileExact(0.95)(c.duration_ms) FROM otel.genai_calls AS c WHERE $__timeFilter(c.started_at)",
            at,
            {},
        )
    ).item()
    assert answer(store, _find("traffic/p95 latency"), at).item() == pytest.approx(exact, rel=0.09)


def _find(path: str) -> Asked:
    return next(asked for asked in ASKED if str(asked) == path)


def test_the_files_are_what_the_code_says() -> None:
    """Nobody edited the JSON, and nobody forgot to write it."""
    assert generate.stale() == []


def test_boards_can_be_told_apart() -> None:
    """uids and titles are unique, and so are the panels of a board."""
    assert len(UIDS) == len(BOARDS) == len({board["title"] for board in BOARDS.values()})
    for name in BOARDS:
        assert len({panel["title"] for panel in panels(name)}) >= len(panels(name)) - 1, name
        ids = [panel["id"] for panel in BOARDS[name]["panels"]]
        assert len({*ids}) == len(ids)


@every_board
def test_a_board_is_a_valid_classic_dashboard(name: str) -> None:
    """Grafana's own types read the file and write it again, with nothing lost and nothing unknown."""
    register_default_plugins()
    board = BOARDS[name]
    again = json.loads(json.dumps(sdk.Dashboard.from_json(board), cls=JSONEncoder))
    assert board["schemaVersion"] == 42
    assert _missing(board, again) == []


def _missing(left: Any, right: Any, path: str = "") -> list[str]:
    """What of ``left`` is not in ``right``; defaults that are only in ``right`` are no loss."""
    if isinstance(left, dict) and isinstance(right, dict):
        return [fault for key in left for fault in _missing(left[key], right.get(key), f"{path}.{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [fault for number, (a, b) in pairs for fault in _missing(a, b, f"{path}[{number}]")]
    return [] if left == right else [f"{path}: {left!r} became {right!r}"]


@every_board
def test_a_board_passes_the_dashboard_linter(name: str) -> None:
    """The rules of Grafana's dashboard-linter that concern any data source."""
    board = BOARDS[name]
    sources = [each for each in board["templating"]["list"] if each["type"] == "datasource"]
    assert [(each["name"], each["label"], each["query"]) for each in sources] == [("datasource", "Data Source", PLUGIN)]
    assert board["editable"] is False
    assert board["tags"] == ["tokentide"]
    assert board["description"]
    assert "${DS_" not in json.dumps(board)
    for panel in panels(name):
        assert panel["title"].strip() and panel["description"].strip(), panel["title"]
        assert panel["datasource"] == {"type": PLUGIN, "uid": "${datasource}"}
        assert len(panel["targets"]) == 1 and panel["targets"][0]["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS, panel["title"]
        for override in panel["fieldConfig"]["overrides"]:
            assert all(each["value"] in _UNITS for each in override["properties"] if each["id"] == "unit")
        x, width = panel["gridPos"]["x"], panel["gridPos"]["w"]
        assert x >= 0 and x + width <= 24


_UNITS = {value for name, value in vars(units).items() if name.isupper() or isinstance(value, str)} | {"percentunit"}


@every_board
def test_links_lead_somewhere(name: str) -> None:
    """Every address is a board of the pack, and every variable that it sets is one of that board's."""
    text = json.dumps(BOARDS[name])
    for uid, query in re.findall(r"/d/([\w-]+)\?([^\"\\]*)", text):
        assert uid in UIDS, uid
        set_there = set(re.findall(r"var-(\w+)=", query))
        assert set_there <= {each["name"] for each in UIDS[uid]["templating"]["list"]}
        named = set(re.findall(r"\$\{(\w+)", query)) - {"__url_time_range", "__value"}
        assert named <= {each["name"] for each in BOARDS[name]["templating"]["list"]}


def test_a_number_leads_to_its_calls_and_a_call_to_its_trace() -> None:
    """The way down exists: Spend -> Calls -> Trace, and the trace board asks otel_traces."""
    assert "/d/tokentide-calls?" in json.dumps(BOARDS["spend"]) and "/d/tokentide-calls?" in json.dumps(
        BOARDS["traffic"]
    )
    assert "/d/tokentide-trace?" in json.dumps(BOARDS["calls"])
    assert any("otel.otel_traces AS" in asked.sql for asked in ASKED if asked.board == "trace")


@every_panel
def test_a_query_is_bounded(asked: Asked) -> None:
    """It reads a time range (or one trace), and the slow exact view only for lists."""
    assert re.search(r"\$__(timeFilter|fromTime|toTime)", asked.sql) or asked.board == "trace"
    if "genai_calls" in asked.sql:
        assert asked.board in {"calls", "trace"} and "LIMIT" in asked.sql
    assert "genai_ledger FINAL" not in asked.sql and "genai_ledger AS e FINAL" not in asked.sql
    if asked.panel["type"] == "table":
        assert "LIMIT" in asked.sql or "GROUP BY" in asked.sql or "_limits" in asked.sql or "genai_budget" in asked.sql


def test_descriptions_name_known_features_only() -> None:
    """The machine-readable line is read back as it was written, and first boards have panels that need nothing."""
    for asked in ASKED:
        assert bool(asked.needs) == ("Filled by:" in asked.panel["description"]), str(asked)
    for name in FIRST:
        assert sum(not asked.needs for asked in ASKED if asked.board == name) >= 8
