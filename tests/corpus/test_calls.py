"""The ledger over every export of the corpus: one call, one charge, however the records arrive."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from polars.testing import assert_frame_equal

from otel_exporter.decode import Decoder
from processors.batch import Batch, Signal
from processors.contract import LEDGER_SCHEMA
from processors.identify import with_keys
from processors.normalise import Normalise
from processors.post import collapse, join, looked_up, post
from tests.corpus.cases import DATA, Case, cases, differences

CASES = list(cases())
#: A failed call of OpenLIT's LiteLLM instrumentation is a span with a name and an exception, and no attribute at all.
NAMELESS = [case for case in CASES if str(case) != "openlit-litellm/fail429"]
#: An embedding's raw span has no id and the callback's record no trace: only the span between the two joins them.
UNTIL_THE_LAST = "litellm-callback/plain_v1"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOT_TOLD = ("posted_at", "version", "said")
#: What is no call by itself is not kept, so that a call that comes after it does not know of it.
WHO_SAW = ("observations", "observation_ids", "handles", "sources", "merged_by")
DECODE, NORMALISE = Decoder(None), Normalise()


def test_the_whole_corpus_is_here() -> None:
    """No producer was left out: spans of twenty-two producers and the logs of those that write any."""
    assert len({case.producer for case in CASES}) == 22
    assert len(CASES) == 142


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_export_is_its_calls(case: Case) -> None:
    """A whole export, posted at once, gives exactly the calls that were made, with everything that can be known."""
    assert differences(case.calls, _posted(with_keys(case.observations()))) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_records_may_come_one_at_a_time_in_any_order(case: Case) -> None:
    """Record after record in random order, some twice: never more than was made, and the same in the end."""
    observations = with_keys(pl.concat([_observed(*record) for record in _records(case)]))
    assert_frame_equal(*(each.sort("observation_id") for each in (observations, with_keys(case.observations()))))
    wanted = _posted(observations)
    rows = [*range(observations.height), *range(0, observations.height, 2)]
    random.Random(str(case)).shuffle(rows)
    ledger = pl.DataFrame(schema=LEDGER_SCHEMA)
    for row in rows:
        ledger = _post(ledger, observations[row])
        standing = collapse(ledger)
        if str(case) != UNTIL_THE_LAST:
            assert standing.height <= len(case.calls)
            assert (standing["input_tokens"].sum() or 0) <= (wanted["input_tokens"].sum() or 0)
    silent = NOT_TOLD + (WHO_SAW if (observations["role"] == "support").any() else ())
    told = [name for name in LEDGER_SCHEMA if name not in silent]
    assert_frame_equal(*(each.select(told).sort("call_key") for each in (collapse(ledger), wanted)))


@pytest.mark.parametrize("case", NAMELESS, ids=str)
def test_attributes_alone_tell(case: Case) -> None:
    """With every span and scope called alike, the calls are still the calls."""
    batches = [_anonymous(batch) for batch in case.batches()]
    observations = pl.concat([NORMALISE(batch).observations for batch in batches])
    assert differences(case.calls, join(with_keys(observations))) == []


def test_two_copies_of_everything_are_one() -> None:
    """The corpus exported twice, by two exporters, is the corpus."""
    observations = with_keys(pl.concat([case.observations() for case in CASES]))
    once = join(observations)
    assert join(pl.concat([observations, observations]).unique("observation_id")).height == once.height
    assert once.height == sum(len(case.calls) for case in CASES)


def _posted(observations: pl.DataFrame) -> pl.DataFrame:
    return post(observations, pl.DataFrame(schema=LEDGER_SCHEMA), lambda calls: calls, NOW)


def _post(ledger: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """The ledger with these observations posted, looked up as the writer does."""

    def find(wanted: list[str]) -> pl.DataFrame:
        return ledger.filter(pl.col("handles").list.eval(pl.element().is_in(wanted)).list.any())

    return pl.concat([ledger, post(observations, looked_up(observations, find), lambda calls: calls, NOW)])


def _observed(signal: Signal, request: bytes) -> pl.DataFrame:
    return NORMALISE(DECODE.decode(signal, [request], "t")).observations


def _records(case: Case) -> Iterator[tuple[Signal, bytes]]:
    """Every span and log record of a case as a request of its own."""
    for signal, kind in ((Signal.TRACES, ExportTraceServiceRequest), (Signal.LOGS, ExportLogsServiceRequest)):
        file = DATA / case.producer / f"{case.name}.{signal.value}.pb"
        if file.exists():
            for request in _split(kind.FromString(file.read_bytes())):
                yield signal, request.SerializeToString()


def _split(request: Message) -> Iterator[Message]:
    resources, scopes, records = (
        ("resource_spans", "scope_spans", "spans")
        if isinstance(request, ExportTraceServiceRequest)
        else ("resource_logs", "scope_logs", "log_records")
    )
    for resource in getattr(request, resources):
        for scope in getattr(resource, scopes):
            for record in getattr(scope, records):
                one = type(request)()
                under = getattr(one, resources).add(resource=resource.resource, schema_url=resource.schema_url)
                part = getattr(under, scopes).add(scope=scope.scope, schema_url=scope.schema_url)
                getattr(part, records).append(record)
                yield one


def _anonymous(batch: Batch) -> Batch:
    renamed = batch.records
    if batch.signal is Signal.TRACES:
        renamed = renamed.with_columns(name=pl.lit("x"))
    return batch.with_frames(records=renamed, scopes=batch.scopes.with_columns(name=pl.lit("y")))
