"""kill -9 of the whole service while a client sends and resends over HTTP: nothing acknowledged is lost or doubled.

`tests/crash` does this to spool and writer alone, many more times; here the killed process is `tokentide serve`, and
the books are compared with what `tokentide query` says.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from otel_exporter.failpoints import POINTS, VARIABLE
from tests.crash.harness import Books, Death, Request, Stored, in_parallel, torment, verdict
from tests.e2e.house import House, asked

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600)]
SEED = 20261122
NOW = (int(time.time()) - 1800) * 10**9
#: All in one answer. Each part is an array of tuples.
SQL = """
SELECT
  (SELECT groupArray((SpanName, TraceId, n)) FROM (
     SELECT SpanName, TraceId, count() AS n FROM otel_traces GROUP BY ALL)) AS spans,
  (SELECT groupArray(TraceId) FROM (
     SELECT TraceId, min(Start), max(End) FROM otel_traces_trace_id_ts GROUP BY TraceId INTERSECT
     SELECT TraceId, toDateTime(min(Timestamp)), toDateTime(max(Timestamp)) FROM otel_traces GROUP BY TraceId
  )) AS traces,
  (SELECT groupArray((response_id, signs, known)) FROM (
     SELECT response_id, toInt64(sum(n)) AS signs, groupArrayIf(ids, n = 1) AS known FROM (
       SELECT response_id, call_key, version, sum(sign) AS n, any(observation_ids) AS ids FROM genai_ledger
       GROUP BY ALL HAVING n != 0) GROUP BY response_id)) AS ledger,
  (SELECT groupArray((response_id, toString(cost_usd), observations)) FROM genai_calls) AS calls,
  (SELECT toString(sum(cost_usd * sign)) FROM genai_ledger) AS dollars
"""


def response_id(call: str) -> str:
    """The provider's id of a call."""
    return "chatcmpl-" + hashlib.sha256(call.encode()).hexdigest()[:24]


def number(name: str) -> int:
    """The number in ``call-7`` or ``r7``."""
    return int(name.lstrip("cal-r"))


def price(call: str) -> Decimal:
    """What the gateway says a call cost."""
    return Decimal(number(call)) / 4


def body(request: Request) -> bytes:
    """A request as LiteLLM would send it: one span observes the call, the others are of the application around it."""
    message = ExportTraceServiceRequest()
    inside = message.resource_spans.add().scope_spans.add(scope={"name": "litellm"})
    for position, name in enumerate(request.spans):
        _add_span(inside, name, request, said=_litellm(request.call) if position == 0 else {})
    return message.SerializeToString()


def _add_span(inside: ScopeSpans, name: str, request: Request, said: dict[str, Any]) -> None:
    start = NOW + number(request.call) * 10**9
    inside.spans.add(
        trace_id=number(request.id).to_bytes(16, "big"),
        span_id=hashlib.sha256(name.encode()).digest()[:8],
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=start + 10**9,
        attributes=[KeyValue(key=key, value=AnyValue(**value)) for key, value in said.items()],
    )


def _litellm(call: str) -> dict[str, dict[str, Any]]:
    texts = {
        "gen_ai.operation.name": "acompletion",
        "llm.request.type": "completion",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.id": response_id(call),
        "litellm.provider.model": "openai/gpt-4o",
        "hidden_params": '{"model_id": null, "cache_key": null}',
    }
    return {
        **{key: {"string_value": text} for key, text in texts.items()},
        "gen_ai.usage.input_tokens": {"int_value": 100 + number(call)},
        "gen_ai.usage.output_tokens": {"int_value": 10},
        "gen_ai.cost.total_cost": {"double_value": float(price(call))},
    }


class ServeLife:
    """One `tokentide serve`, as the harness wants a life."""

    torn = 0  # not looked at here

    def __init__(self, data_dir: Path, failpoint: str) -> None:
        self._house = House(data_dir, **{VARIABLE: failpoint})

    def send(self, request: Request) -> bool:
        """Over HTTP; a connection that breaks is no acknowledgement."""
        try:
            status, _ = self._house.post("/v1/traces", body(request))
        except (OSError, HTTPException):
            return False
        return status == 200

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._house.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._house.kill()

    def drain(self) -> None:
        """SIGTERM stores everything."""
        self._house.stop()


class Serve:
    """The service of the harness over one data directory, read by `tokentide query`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.calls: list[Any] = []
        self.dollars = Decimal(0)

    def start(self, failpoint: str = "") -> ServeLife:
        """A new life."""
        return ServeLife(self._data_dir, failpoint)

    def inspect(self) -> Stored:
        """What is in the tables; a span reached the view when its whole trace has the right times there."""
        (answer,) = asked(self._data_dir, SQL)
        self.calls, self.dollars = answer["calls"], Decimal(answer["dollars"])
        spans, view = {name: int(n) for name, _, n in answer["spans"]}, set(answer["traces"])
        seen = {name: int(n) for name, trace, n in answer["spans"] if trace in view}
        names = {response_id(f"call-{n}"): f"call-{n}" for n in range(1, 13)}
        ledger = {names[name]: (int(signs), _requests(known)) for name, signs, known in answer["ledger"]}
        return Stored(spans=spans, logs=spans, view=seen, ledger=ledger)


def _requests(known: list[list[str]]) -> list[str]:
    """The requests behind observation ids (``<trace>/<span>``): a trace here is named after its request."""
    return [f"r{int(each.partition('/')[0], 16)}" for ids in known for each in ids]


def _run(data_dir: Path, deaths: list[Death]) -> Books:
    """Torment one house, and require that spans, view, ledger and money are right."""
    service = Serve(data_dir)
    books, stored = torment(service, deaths, SEED)
    assert verdict(books, stored) == []
    truth = {response_id(call): (price(call), len(known)) for call, (_, known) in stored.ledger.items()}
    rows = [(name, (Decimal(cost), int(observations))) for name, cost, observations in service.calls]
    assert len(rows) == len(truth) and dict(rows) == truth
    assert service.dollars == sum(cost for cost, _ in truth.values())
    assert books.acknowledged and books.resent, "nothing was sent, so nothing was proved"
    return books


def _halves() -> Iterator[list[Death]]:
    """Every named point and a few random moments, for two houses side by side."""
    rng = random.Random(SEED)
    deaths = [*(Death(point=point) for point in POINTS), *(Death(after=rng.uniform(0.1, 2.5)) for _ in range(4))]
    rng.shuffle(deaths)
    yield deaths[::2]
    yield deaths[1::2]


def test_acknowledged_calls_survive_kill_9_exactly_once(tmp_path: Path) -> None:
    """After 13 kills of `serve`, every acknowledged span is stored once, every call is one row, the sum is right."""
    houses = [(tmp_path / f"data{half}", deaths) for half, deaths in enumerate(_halves())]
    books = in_parallel([lambda house=house: _run(*house) for house in houses])
    assert sum(book.deaths for book in books) == len(POINTS) + 4
