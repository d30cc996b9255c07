"""`enrich`: whose calls are whose, from tables the user keeps: team, application, cost centre, owner, labels.

A function of the joined call and the tables of the moment, run where prices are found: when the call is posted
(docs/decisions/0006). In two steps, so that one table may name the team of a key and another the cost centre of a team:

1. names (`NAMES`) are filled where nobody said them, or changed where a rule overrides; rules see what was said;
2. cost centre, owner and labels are filled; rules see the names as the first step left them.

Rules are asked in their order, and the first that matches wins, for each field (and each label) on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Final

import polars as pl

from processors.contract import CALL, LEDGER_SCHEMA, MAP, TEXTS, Group
from processors.globs import fits_any, is_glob

#: Columns somebody may have said, which a rule may fill or override.
NAMES: Final = ("team", "project", "organization", "application", "environment")
#: Columns only the tables know; labels are set as ``labels.<key>``.
OWN: Final = ("cost_center", "owner")
LABEL: Final = "labels."
MATCHED: Final = (
    "tenant", *(c.name for c in CALL if c.group in (Group.CALLER, Group.GATEWAY)),
    "provider", "operation", "requested_model", "model", "gateway", "deployment_id",
)  # fmt: skip
_RULE, _ROW, _BETWEEN = "@rule", "@row", "\x1f"
#: A rule with more combinations of exact values than this is asked for each call instead of being looked up.
_MOST_LINES: Final = 256


@dataclass(frozen=True)
class Rule:
    """What calls it is about, and what they get.

    Attributes:
        match: column of `MATCHED` -> texts, one of which must be the call's (one of its tags), ``*`` and ``?`` standing
            for any text and any character; the empty text is a call of which nobody said it. No column: every call.
        set: column of `NAMES` or `OWN`, or ``labels.<key>`` -> its text.
        override: names replace what somebody said, too.
    """

    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    set: Mapping[str, str] = field(default_factory=dict)
    override: bool = False


class Enrichment:
    """Fills `NAMES`, `OWN` and labels of calls. Pure; one call never depends on another.

    Args:
        rules: in the order they are asked.
    """

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._names = _Tables(rules, lambda name: name in NAMES)
        self._own = _Tables(rules, lambda name: name not in NAMES)

    def __call__(self, calls: pl.DataFrame) -> pl.DataFrame:
        """Calls as joined, with nothing in `OWN` and labels, attributed."""
        if calls.is_empty():
            return calls
        for step in (self._names, self._own):
            calls = step(calls)
        return calls


class _Tables:
    """The rules of one step, as frames to join with."""

    def __init__(self, rules: Sequence[Rule], mine: object) -> None:
        assert callable(mine)
        own = [(number, rule, {n: v for n, v in rule.set.items() if mine(n)}) for number, rule in enumerate(rules)]
        own = [one for one in own if one[2]]
        self._columns = sorted({name for _, rule, _ in own for name in rule.match})
        self._looked_up = _lines([(number, rule) for number, rule, _ in own if _is_exact(rule)])
        self._asked = [(number, _condition(rule)) for number, rule, _ in own if not _is_exact(rule)]
        said = [(number, name, text, rule.override) for number, rule, what in own for name, text in what.items()]
        self._set = pl.DataFrame(
            said, schema={_RULE: pl.UInt32, "field": pl.String, "text": pl.String, "override": pl.Boolean}, orient="row"
        )
        self._fields = sorted({name for _, name, _, _ in said if not name.startswith(LABEL)})
        self._labels = any(name.startswith(LABEL) for _, name, _, _ in said)

    def __call__(self, calls: pl.DataFrame) -> pl.DataFrame:
        if self._set.is_empty():
            return calls
        keyed = calls.with_columns(self._key().alias(_ROW))
        distinct = keyed.unique(_ROW, keep="first").select(_ROW, *self._columns)
        told = self._matches(distinct).join(self._set, on=_RULE).sort(_RULE, "field")
        for name in self._fields:
            keyed = _filled(keyed, name, told.filter(pl.col("field") == name))
        if self._labels:
            labels = _labels(told.filter(pl.col("field").str.starts_with(LABEL)))
            keyed = keyed.drop("labels", strict=False).join(labels, on=_ROW, how="left", maintain_order="left")
        return keyed.drop(_ROW)

    def _key(self) -> pl.Expr:
        """What the rules can tell calls apart by, as one text."""
        if not self._columns:
            return pl.lit("")
        texts = [pl.col(c).list.join(_BETWEEN) if LEDGER_SCHEMA[c] == TEXTS else pl.col(c) for c in self._columns]
        return pl.concat_str([text.fill_null("") for text in texts], separator="\x1e")

    def _matches(self, distinct: pl.DataFrame) -> pl.DataFrame:
        """(row, rule) of everything that matches."""
        found = [pl.DataFrame(schema={_ROW: pl.String, _RULE: pl.UInt32})]
        for columns, lines in self._looked_up.items():
            found.append(_exploded(distinct, columns).join(lines, on=columns).select(_ROW, _RULE))
        for number, condition in self._asked:
            rows = distinct.filter(condition) if condition is not None else distinct
            found.append(rows.select(_ROW, pl.lit(number, pl.UInt32).alias(_RULE)))
        return pl.concat(found)


def _is_exact(rule: Rule) -> bool:
    """Whether it can be looked up: no pattern, and not too many combinations."""
    plain = all(not is_glob(text) for texts in rule.match.values() for text in texts)
    return bool(rule.match) and plain and prod(map(len, rule.match.values())) <= _MOST_LINES


def _lines(rules: Iterable[tuple[int, Rule]]) -> dict[tuple[str, ...], pl.DataFrame]:
    """By the columns they look at: a line for each combination of values, and the rule."""
    lines: dict[tuple[str, ...], list[tuple[str | int, ...]]] = {}
    for number, rule in rules:
        columns = tuple(sorted(rule.match))
        lines.setdefault(columns, []).extend((*one, number) for one in product(*(rule.match[c] for c in columns)))
    return {
        columns: pl.DataFrame(rows, schema={**dict.fromkeys(columns, pl.String), _RULE: pl.UInt32}, orient="row")
        for columns, rows in lines.items()
    }


def _exploded(distinct: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One line a tag where tags count; no tag is the empty text."""
    for name in columns:
        if LEDGER_SCHEMA[name] == TEXTS:
            tagged = pl.when(pl.col(name).list.len() > 0).then(name).otherwise(pl.lit([""], TEXTS))
            distinct = distinct.with_columns(tagged.alias(name)).explode(name)
    return distinct.with_columns(pl.col(*columns).fill_null(""))


def _condition(rule: Rule) -> pl.Expr | None:
    """Whether a call matches; None: every call does."""
    return pl.all_horizontal(_any_of(name, texts) for name, texts in rule.match.items()) if rule.match else None


def _any_of(name: str, texts: Sequence[str]) -> pl.Expr:
    if LEDGER_SCHEMA[name] != TEXTS:
        return fits_any(pl.col(name).fill_null(""), texts)
    tags = pl.col(name).list.eval(fits_any(pl.element(), texts)).list.any().fill_null(False)
    return tags | ((pl.col(name).list.len() == 0) & fits_any(pl.lit(""), texts))


def _filled(calls: pl.DataFrame, name: str, told: pl.DataFrame) -> pl.DataFrame:
    """One column, from the first rule that says it; where somebody said it, from the first that overrides."""
    first = told.unique(_ROW, keep="first", maintain_order=True).select(_ROW, pl.col("text").alias("@first"))
    forced = told.filter("override").unique(_ROW, keep="first", maintain_order=True)
    calls = calls.join(first, on=_ROW, how="left", maintain_order="left")
    calls = calls.join(forced.select(_ROW, pl.col("text").alias("@forced")), on=_ROW, how="left", maintain_order="left")
    is_said = pl.col(name) != "" if name in NAMES else pl.lit(False)
    filled = pl.when(is_said).then(pl.coalesce("@forced", name)).otherwise(pl.col("@first").fill_null("")).alias(name)
    return calls.with_columns(filled).drop("@first", "@forced")


def _labels(told: pl.DataFrame) -> pl.DataFrame:
    """(row, labels) of the calls that have any: each label from the first rule that says it."""
    first = told.unique([_ROW, "field"], keep="first", maintain_order=True).sort(_ROW, "field")
    pair = pl.struct(pl.col("field").str.strip_prefix(LABEL).alias("key"), pl.col("text").alias("value"))
    return first.group_by(_ROW).agg(pair.alias("labels")).with_columns(pl.col("labels").cast(MAP))
