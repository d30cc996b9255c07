"""Content stored once: references instead of texts, and nothing lost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.content_shelf import ContentShelf
from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.messages import MARK, SHORTEST, Messages
from tests.unit.processors.conversations import calls, history, request

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MESSAGES = Messages()
DECODE = Decoder(None).decode
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=90),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_TEXTS = (
    st.text(max_size=300)
    | st.builds(json.dumps, _JSON)
    | st.builds(lambda value: json.dumps(value, indent=1), _JSON)
    | st.builds(lambda value, cut: json.dumps(value)[:cut], _JSON, st.integers(0, 200))
    | st.sampled_from(["[" * 5000, "{" * 200, 'once:{"a"}', "once:" + "{" + "0" * 32 + "}" + " " * 80])
)


def _batch(*requests: bytes, tenant: str = "t") -> Batch:
    return DECODE(Signal.TRACES, list(requests), tenant)


def _values(batch: Batch, key: str) -> list[str]:
    return batch.attributes.filter(pl.col("key") == key)["value"].to_list()


def _restored(value: str, rows: pl.DataFrame) -> str:
    texts = dict(rows.select("hash", "text").iter_rows())
    if not value.startswith(MARK):
        return value
    return re.sub(r"\{([0-9a-f]{32})\}", lambda found: texts.get(found[1], found[0]), value[len(MARK) :])


@given(_TEXTS)
def test_any_text_comes_back_byte_for_byte(text: str) -> None:
    """Whatever stands in a content attribute, broken JSON and deep nesting too, can be put together again."""
    batch = _batch(request({"gen_ai.input.messages": text}))
    before = _values(batch, "gen_ai.input.messages")
    referring, rows = MESSAGES(batch, NOW)
    after = _values(referring, "gen_ai.input.messages")
    assert [_restored(value, rows) for value in after] == before
    assert all(len(value.encode()) < SHORTEST or value.startswith(MARK) for value in after)


def test_a_history_is_stored_once() -> None:
    """Twenty turns that resend everything before them store forty messages, and each turn only refers to them."""
    batch, rows = MESSAGES(_batch(*calls(20)), NOW)
    said = [json.dumps(message) for message in history(40)]
    assert sorted(rows["text"]) == sorted(said)
    last = _values(batch, "gen_ai.input.messages")[-1]
    assert last.count("{") == 39
    assert len(last) < 39 * 40


def test_messages_in_an_object_are_found() -> None:
    """``{"messages": [...]}`` shares its messages with a plain list of them."""
    said = history(4)
    plain, wrapped = json.dumps(said), json.dumps({"model": "m", "messages": said})
    _, rows = MESSAGES(_batch(request({"gen_ai.input.messages": plain, "input.value": wrapped})), NOW)
    assert rows.height == 4


def test_tenants_share_nothing() -> None:
    """The same message of two tenants has two hashes: no reference leads to another tenant's row."""
    rows = [MESSAGES(_batch(*calls(2), tenant=tenant), NOW)[1] for tenant in ("a", "b")]
    assert set(rows[0]["text"]) == set(rows[1]["text"])
    assert not set(rows[0]["hash"]) & set(rows[1]["hash"])


@pytest.mark.parametrize("key", ["gen_ai.response.model", "gen_ai.request.model", "http.url"])
def test_only_content_moves(key: str) -> None:
    """A long value that is no content stays where queries look for it."""
    batch = _batch(request({key: "x" * 200}))
    referring, rows = MESSAGES(batch, NOW)
    assert rows.is_empty()
    assert referring.attributes.equals(batch.attributes)


def test_a_message_is_written_once_a_day() -> None:
    """What was made durable today is not written again; what was not, or was yesterday, is."""
    moment = [NOW]
    shelf = ContentShelf(now=lambda: moment[0])
    _, first = shelf.put(_batch(*calls(3)))
    _, again = shelf.put(_batch(*calls(3)))
    assert again.equals(first), "nobody said that it is durable"
    shelf.stored({"genai_content": again})
    _, more = shelf.put(_batch(*calls(4)))
    assert more.height == 2
    moment[0] += timedelta(days=1)
    assert shelf.put(_batch(*calls(3)))[1].height == 6


def test_memory_is_bounded() -> None:
    """A shelf that is full forgets, and writes again."""
    shelf = ContentShelf(most=3, now=lambda: NOW)
    for _ in range(2):
        rows = shelf.put(_batch(*calls(3)))[1]
        assert rows.height == 6
        shelf.stored({"genai_content": rows})
