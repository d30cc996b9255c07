"""Rule files: what is refused, where, and what stands all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.durations import duration, spelled
from alerting.files import combined, parse
from alerting.templates import BadTemplate, Context, Links, template

FILE = Path("rules.yaml")
GOOD = """
  - name: good
    rules:
      - {alert: Fine, expr: SELECT 1 AS value}
"""


@pytest.mark.parametrize(
    ("rule", "line", "sentence"),
    [
        ("{alert: Bad, expr: 'SELECT 1', for: soon}", 5, "for: must be a duration"),
        ("{alert: Bad, expr: 'SELECT 1', labels: [team, team]}", 5, "labels: team appears twice"),
        ("{alert: Bad, expr: 'SELECT 1', labels: [severity]}", 5, "cannot be a label"),
        ("{alert: Bad, expr: 'SELECT 1', labels: ['gen_ai.model']}", 5, "cannot be a label"),
        ("{alert: Bad, expr: 'SELECT 1', severity: page}", 5, "severity: must be one of"),
        ("{alert: Bad, expr: 'SELECT 1', colour: red}", 5, "unknown key colour"),
        ("{alert: Bad, expr: ''}", 5, "expr: is required"),
        ("{alert: Bad, expr: 'SELECT 1', min_usd: much}", 5, "min_usd: must be an amount"),
        ("{alert: Bad, expr: 'SELECT 1', expr: 'SELECT 2'}", 5, "expr appears twice"),
        ("{alert: Bad, expr: 'SELECT 1', annotations: {summary: '{{ $row.x | nosuch }}'}}", 5, "No filter named"),
        ("{alert: Bad, expr: 'SELECT 1', annotations: {summary: '{{ open }}'}}", 5, "there is no variable open"),
        ("{alert: Bad, expr: 'SELECT 1', annotations: {summary: '{% if %}'}}", 5, "annotations: summary"),
        ("{alert: Bad, expr: 'SELECT 1', suppress: [{weekdays: [someday]}]}", 5, "weekdays are"),
        ("{alert: 'No Name', expr: 'SELECT 1'}", 5, "a rule needs a name"),
        ("just text", 4, "must be a mapping"),
    ],
)
def test_a_wrong_rule_is_refused_by_line(rule: str, line: int, sentence: str) -> None:
    """Each mistake is named with its line, and the other group's rule stands (unless the file is no YAML tree)."""
    read = parse(FILE, f"groups:\n  - name: g\n    interval: 1m\n    rules:\n      - {rule}\n{GOOD}")
    assert any(fault.place.line == line and sentence in str(fault) for fault in read.faults), read.faults
    if "appears twice" not in sentence or "labels" in sentence:
        assert [rule.name for group in read.groups for rule in group.rules] == ["Fine"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("groups: [", "is not YAML"),
        ("- a", "must be a mapping"),
        ("groups: {a: b}", "must be a list"),
        ("a\x00b", "is not YAML"),
    ],
)
def test_what_is_no_rule_file_says_so(text: str, sentence: str) -> None:
    """Broken files are one fault, never an exception."""
    assert sentence in str(parse(FILE, text).faults[0])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No file makes the reader raise."""
    parse(FILE, text)


def test_endless_aliases_are_refused() -> None:
    """A few lines that unfold into millions of rules are not unfolded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "never end" in str(parse(FILE, "\n".join(lines)).faults[0])


def test_a_rule_of_the_user_replaces_ours() -> None:
    """The later file's rule of the same name stands alone; words of the configuration reach it; doubles are faults."""
    ours = parse(
        Path("ours.yaml"), "groups: [{name: g, rules: [{alert: A, expr: SELECT 1}, {alert: B, expr: SELECT 1}]}]"
    )
    own = parse(
        Path("own.yaml"), "groups: [{name: h, rules: [{alert: A, expr: SELECT 2}, {alert: A, expr: SELECT 3}]}]"
    )
    groups, faults = combined([ours, own], {"B": {"enabled": False}, "C": {"enabled": True}})
    rules = {rule.name: rule for group in groups for rule in group.rules}
    assert rules["A"].expr == "SELECT 2" and not rules["B"].enabled
    assert [fault.rule for fault in faults] == ["A", "C"]


@given(st.integers(0, 10**9))
def test_durations_read_what_they_write(seconds: int) -> None:
    """Every written duration is read back to its two largest units."""
    length = duration(f"{seconds}s")
    assert length.total_seconds() == seconds
    again = duration(spelled(length).replace(" ", ""))
    assert again <= length and length - again < max(length * 0.05, duration("1s"))


def test_a_column_may_have_any_name() -> None:
    """A column called like a method of a mapping is the column."""
    context = Context("A", {"items": 3, "keys": "k"}, {"pop": "p"}, 1.0, datetime.now(UTC))
    assert template("{{ $row.items }} {{ $row.keys }} {{ $labels.pop }}")(context) == "3 k p"


def test_templates_know_rows_labels_and_links() -> None:
    """A template speaks of columns, labels, value, time and dashboards; unknown is said, failing does not raise."""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    row = {"spent": "1234.5", "none": None, "at": now}
    context = Context("Burn", row, {"team": "a b"}, 0.5, now, Links("http://grafana/", "https://docs/alerts"))
    shown = (
        "{{ $row.spent | usd }} {{ $row.none | usd }} {{ $value | percent }} {{ $row.at | clock }} {{ $labels.team }}"
    )
    assert template(shown)(context) == "$1,234.50 unknown 50 % 2026-11-21 12:00 UTC a b"
    assert template("{{ $row.gone | usd }}")(context).startswith("<template failed")
    assert template("{{ runbook_url }}")(context) == "https://docs/alerts#burn"
    url = template("{{ dashboard('spend', '1h', team=$labels.team, user=$row.none) }}")(context)
    assert url == "http://grafana/d/tokentide-spend?from=1795258800000&to=1795262400000&var-team=a+b"


@pytest.mark.parametrize(
    "text", ["{{ ''.__class__ }}", "{{ $row.__init__.__globals__ }}", "{{ $labels.update({'a': 'b'}) }}"]
)
def test_templates_cannot_leave_the_sandbox(text: str) -> None:
    """Python's inside cannot be reached and nothing can be changed."""
    labels = {"team": "a"}
    context = Context("A", {}, labels, 1.0, datetime.now(UTC))
    try:
        shown = template(text)(context)
    except BadTemplate:
        return
    assert shown.startswith("<template failed") or shown == ""
    assert labels == {"team": "a"}
