"""A user's own dialect and processor: the examples of `docs/plugins.md`, run for real."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_exporter.failures import Refused
from otel_exporter.plugins import before_ours, load
from processors.dialects import DIALECTS
from processors.dialects.dialect import Dialect
from tests.unit.otel_exporter.conftest import Tokentide

PAGE = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SETTING = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module `house` of the page is importable."""
    (tmp_path / "house.py").write_text("\n\n".join(EXAMPLES) + "\n\nNUMBER = int\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("house", None)


def test_the_page_s_examples_work(tokentide: Tokentide, house: None, tmp_path: Path) -> None:
    """A span only the user's dialect knows is a priced call, and the user's processor has spelled its team."""
    (tmp_path / "t.yaml").write_text(SETTING)
    (tmp_path / "bot.traces.pb").write_bytes(_bot_span())
    assert tokentide("ingest", "bot.traces.pb", "--config", "t.yaml").code == 0
    sql = "SELECT sources, model, team, input_tokens, output_tokens, cost_usd FROM genai_calls"
    assert json.loads(tokentide("query", sql, "--format", "json").out) == [
        {
            "sources": ["house.bot"],
            "model": "gpt-4o-mini",
            "team": "search",
            "input_tokens": 1000,
            "output_tokens": 100,
            "cost_usd": "0.00021",
        }
    ]


def test_without_the_dialect_nobody_knows_the_span(tokentide: Tokentide, tmp_path: Path) -> None:
    """The same span is no call without the plug-in: it is the plug-in that the test above shows."""
    (tmp_path / "bot.traces.pb").write_bytes(_bot_span())
    assert tokentide("ingest", "bot.traces.pb").code == 0
    assert json.loads(tokentide("query", "SELECT count() AS n FROM genai_calls", "--format", "json").out) == [{"n": 0}]


def test_examples_are_short() -> None:
    """Each example is some ten lines without its imports."""
    assert all(
        len([line for line in example.splitlines() if line.strip() and "import" not in line]) <= 12
        for example in EXAMPLES
    )


def test_own_dialects_come_first(house: None) -> None:
    """The user's dialects are tried before ours; one with the name of ours takes its place."""
    own = load("house:DIALECT")
    assert isinstance(own, Dialect)
    assert before_ours([own]) == (own, *DIALECTS)
    replaced = Dialect(name=DIALECTS[0].name, recognise=own.recognise, said={})
    assert before_ours([replaced]) == (replaced, *DIALECTS[1:])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere:make", "ModuleNotFoundError"),
        ("house:nothing", "AttributeError"),
        ("house:NUMBER", "neither a processor nor a dialect"),
    ],
)
def test_what_cannot_be_loaded_is_named(house: None, tokentide: Tokentide, name: str, sentence: str) -> None:
    """A plug-in that is missing or of the wrong kind stops the start with a sentence that names it."""
    with pytest.raises(Refused, match=sentence):
        load(name)
    Path("t.yaml").write_text(f"processors: ['{name}']\n")
    Path("bot.traces.pb").write_bytes(_bot_span())
    run = tokentide("ingest", "bot.traces.pb", "--config", "t.yaml")
    assert run.code == 1 and name in run.err and len(run.err.splitlines()) == 1


def _bot_span() -> bytes:
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    team = block.resource.attributes.add(key="team")
    team.value.string_value = "SRCH"
    span = block.scope_spans.add().spans.add(
        name="bot", trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=10**18, end_time_unix_nano=10**18 + 10**9
    )
    span.attributes.add(key="bot.model").value.string_value = "gpt-4o-mini"
    span.attributes.add(key="bot.tokens.in").value.int_value = 1000
    span.attributes.add(key="bot.tokens.out").value.int_value = 100
    return request.SerializeToString()
