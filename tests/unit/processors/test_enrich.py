"""Attribution: the vectorised tables do what their sentence says, and history follows them and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from processors.contract import LEDGER_SCHEMA
from processors.enrich import LABEL, MATCHED, NAMES, OWN, Enrichment, Rule
from processors.post import collapse, handles, join, post
from processors.reattribute import as_said, reattribute
from processors.reprice import reprice
from tests.unit.processors.worlds import Call, frame, observations_of, worlds

THEN = datetime(2026, 11, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 3, tzinfo=UTC)
SCHEMA = {name: LEDGER_SCHEMA[name] for name in (*MATCHED, *NAMES, *OWN)}
SEEN = ("team", "application", "api_key_alias", "tags", "tenant")
TEXTS = ("", "search", "sea.ch", "shop", "a", "ab")
PATTERNS = (*TEXTS, "*", "s*", "?", "sea?ch", "sh*p", "[a]")
few = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def calls_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Calls as the join leaves them."""
    blank = {name: [] if kind == pl.List(pl.String) else "" for name, kind in SCHEMA.items()}
    return pl.DataFrame([{**blank, **row} for row in rows], schema=SCHEMA)


calls = st.lists(
    st.fixed_dictionaries(
        {name: st.sampled_from(TEXTS) for name in SEEN if name != "tags"}
        | {"tags": st.lists(st.sampled_from(TEXTS[1:]), max_size=3)}
    ),
    min_size=1,
    max_size=8,
)
texts = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True).map(tuple)
rules = st.lists(
    st.builds(
        Rule,
        match=st.dictionaries(st.sampled_from(SEEN), texts, max_size=3),
        set=st.dictionaries(
            st.sampled_from((*NAMES[:1], "application", *OWN, "labels.x", "labels.y")),
            st.sampled_from(("search", "gold", "CC-1")),
            min_size=1,
            max_size=3,
        ),
        override=st.booleans(),
    ),
    max_size=6,
)


def plainly(call: dict[str, Any], told: list[Rule]) -> dict[str, Any]:
    """What the module's first lines say, one call at a time."""
    labels: dict[str, str] = {}
    for step in (NAMES, None):
        seen = dict(call)
        for field in {name for rule in told for name in rule.set}:
            if (field in NAMES) != (step is NAMES):
                continue
            mine = [rule for rule in told if field in rule.set and _matches(seen, rule)]
            if field in NAMES and seen[field]:
                mine = [rule for rule in mine if rule.override]
            if mine and field.startswith(LABEL):
                labels[field.removeprefix(LABEL)] = mine[0].set[field]
            elif mine:
                call = {**call, field: mine[0].set[field]}
    return {**call, "labels": sorted(labels.items())}


def _matches(call: dict[str, Any], rule: Rule) -> bool:
    return all(
        any(
            fnmatchcase(value, pattern.replace("[", "[[]"))
            for value in (call[name] or [""] if name == "tags" else [call[name]])
            for pattern in patterns
        )
        for name, patterns in rule.match.items()
    )


def rows_of(attributed: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows with their labels as pairs."""
    if "labels" not in attributed.columns:
        attributed = attributed.with_columns(labels=pl.lit(None, LEDGER_SCHEMA["labels"]))
    pairs = pl.col("labels").cast(pl.List(pl.Struct({"key": pl.String, "value": pl.String})))
    return [
        {**row, "labels": [(pair["key"], pair["value"]) for pair in row["labels"] or []]}
        for row in attributed.with_columns(labels=pairs).to_dicts()
    ]


@few
@given(calls, rules)
@example([{"tags": []}], [Rule({"team": ("",), "tags": ("",)}, {"team": "search"})])
@example([{"tags": []}], [Rule({"team": ("",), "tags": ("*",)}, {"team": "search"})])
@example([{"team": ""}], [Rule({}, {"team": "gold"}), Rule({}, {"team": "search"}, override=True)])
def test_it_is_what_its_sentence_says(rows: list[dict[str, Any]], told: list[Rule]) -> None:
    """Joins of distinct values give what asking every rule for every call gives: first match, field by field."""
    given_ = calls_of(rows)
    assert rows_of(Enrichment(told)(given_)) == [plainly(row, told) for row in given_.to_dicts()]


@few
@given(calls, calls, rules)
def test_no_call_depends_on_another(left: list[dict[str, Any]], right: list[dict[str, Any]], told: list[Rule]) -> None:
    """Calls attributed together are what they are attributed apart."""
    enrich = Enrichment(told)
    both = rows_of(enrich(calls_of(left + right)))
    assert both == rows_of(enrich(calls_of(left))) + rows_of(enrich(calls_of(right)))


def test_ten_thousand_lines_are_looked_up() -> None:
    """A table of many keys gives each its own cost centre, and the two steps meet: key -> team -> cost centre."""
    told = [Rule({"tenant": ("t",), "api_key_alias": (f"k{n}",)}, {"team": f"team-{n % 7}"}) for n in range(10_000)]
    told += [Rule({"team": (f"team-{n}",)}, {"cost_center": f"CC-{n}"}) for n in range(7)]
    rows = [{"tenant": "t", "api_key_alias": f"k{n}"} for n in range(0, 10_000, 3)]
    got = Enrichment(told)(calls_of(rows))
    assert got["cost_center"].to_list() == [f"CC-{n % 7}" for n in range(0, 10_000, 3)]


def book(suffix: str = "") -> Enrichment:
    """Tables about what `worlds` says: the client's application, the gateway's team, and what nobody says."""
    return Enrichment(
        [
            Rule({"team": ("",)}, {"team": f"nobody{suffix}", "labels.found": "no"}),
            Rule({"application": ("shop",)}, {"application": f"store{suffix}"}, override=True),
            Rule({"team": ("search", "nobody*")}, {"cost_center": f"CC{suffix}", "labels.of": f"team{suffix}"}),
            Rule({}, {"owner": f"me{suffix}"}),
        ]
    )


def posted(parts: list[list[dict[str, object]]], enrich: Enrichment) -> pl.DataFrame:
    """A ledger that got these observations in these parts."""
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA)
    for part in filter(None, parts):
        batch = frame(part)
        found = ledger.filter(pl.col("handles").list.eval(pl.element().is_in(handles(batch))).list.any())
        ledger = pl.concat([ledger, post(batch, found, enrich, THEN)])
    return ledger


def standing(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    return rows_of(collapse(ledger).sort("call_key").drop("posted_at", "said"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.randoms(use_true_random=False))
def test_attribution_keeps_the_join_commutative(calls: list[Call], random: Any) -> None:
    """With tables, too, the order, repetition and split of what is observed change nothing."""
    rows = observations_of(calls)
    shuffled = random.sample(rows, len(rows)) + random.sample(rows, min(2, len(rows)))
    split = random.randint(0, len(shuffled))
    apart = posted([shuffled[:split], shuffled[split:]], book())
    assert standing(apart) == standing(posted([rows], book()))
    again = post(frame(rows), apart, book(), NOW)
    assert again.is_empty()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.integers(1, 3))
def test_reattributing_is_posting_anew(calls: list[Call], portions: int) -> None:
    """Read in any portions, history ends as if every observation had met today's tables; then there is nothing left.

    The way back to the old tables ends at the old versions: nothing a table ever filled in is taken for said.
    """
    rows = observations_of(calls)
    old = posted([rows[::2], rows[1::2]], book())
    part = pl.col("call_key").hash() % portions
    moved = pl.concat([old, *(reattribute(old.filter(part == n), book("!"), NOW) for n in range(portions))])
    assert standing(moved) == standing(posted([rows], book("!")))
    assert reattribute(moved, book("!"), NOW).is_empty()
    back = pl.concat([moved, reattribute(moved, book(), NOW)])
    assert standing(back) == standing(old)
    assert set(collapse(back)["version"]) == set(collapse(old)["version"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_what_was_said_can_be_had_back(calls: list[Call]) -> None:
    """Of an entry any table has changed, the names as the join took them are known from what it keeps."""
    rows = frame(observations_of(calls))
    told = as_said(collapse(posted([observations_of(calls)], book()))).sort("call_key")
    joined = join(rows).sort("call_key")
    assert told.select(NAMES).equals(joined.select(NAMES))


def test_reattributing_moves_no_money() -> None:
    """Signed sums of money and tokens of what is posted are zero: only whose they are changes."""
    calls = [Call(n, 0, 10 * n, (80, 18), False, None, frozenset({"gateway", "client"})) for n in range(4)]
    old = posted([observations_of(calls)], Enrichment())
    entries = reattribute(old, book(), NOW)
    assert entries.height == 8
    for column in ("cost_reported_usd", "input_tokens"):
        both = [entries.filter(pl.col("sign") == sign)[column].drop_nulls().sum() for sign in (1, -1)]
        assert both[0] == both[1] > 0, column


def test_history_waits_to_be_asked() -> None:
    """New observations of one call attribute that call by the tables of today, and none of its neighbours."""
    calls = [Call(n, 0, 10 * n, (80, 18), False, None, frozenset({"gateway", "client"})) for n in range(2)]
    rows = observations_of(calls)
    late = next(row for row in rows if row["observation_id"] == rows[-1]["observation_id"])
    old = posted([[row for row in rows if row is not late]], book())
    new = pl.concat([old, post(frame([late]), old, book("!"), NOW)])
    assert sorted(collapse(new)["cost_center"]) == ["CC", "CC!"]


def test_pricing_anew_leaves_attribution_alone() -> None:
    """`reprice` keeps labels and all else the tables filled: with the same prices it posts nothing."""
    rows = observations_of([Call(0, 0, 0, (80, 18), False, None, frozenset({"gateway", "client"}))])
    old = posted([rows], book())
    assert [row["labels"] for row in rows_of(collapse(old))] == [[("of", "team")]]
    assert reprice(old, lambda calls: calls, NOW).is_empty()
