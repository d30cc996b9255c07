"""What fuzzing starts from: real exports of released libraries, cut to one record each, and inputs worth keeping.

`corpus/<signal>/*.bin` are requests in protobuf (or damaged ones), `corpus/json-<signal>/*.json` requests in
JSON: each was found by fuzzing or made by hand for a corner of a reader.
"""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from otel_exporter.decode import validate
from otel_exporter.decode.door import PATH, REQUEST
from otel_exporter.failures import Refused
from processors.batch import Signal

CORPUS = Path(__file__).parent / "corpus"
EXPORTS = Path(__file__).parent.parent / "corpus" / "data"
_MOST_BYTES = 2_500
_MOST_SEEDS = 250
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_NUMBER = {"start_time_unix_nano": 1, "time_unix_nano": 2, "attributes": [{"key": "k", "value": {"string_value": "v"}}]}
_EXEMPLAR = {"time_unix_nano": 3, "as_int": 4, "span_id": b"\1" * 8, "filtered_attributes": [{"key": "e"}]}
_SPREAD = {**_NUMBER, "count": 3, "sum": 1.5, "min": 0.0, "max": 9.0, "exemplars": [_EXEMPLAR]}
_BUCKETS = {"offset": -3, "bucket_counts": [1, 2, 300]}
_METRICS: tuple[dict[str, Any], ...] = (
    {"gauge": {"data_points": [{**_NUMBER, "as_int": -1, "exemplars": [_EXEMPLAR]}, {**_NUMBER, "as_double": 0.5}]}},
    {"sum": {"data_points": [{**_NUMBER, "as_double": 1e300}], "aggregation_temporality": 2, "is_monotonic": True}},
    {"histogram": {"data_points": [{**_SPREAD, "bucket_counts": [1, 2], "explicit_bounds": [0.5]}]}},
    {"exponential_histogram": {"data_points": [{**_SPREAD, "scale": 2, "positive": _BUCKETS, "negative": _BUCKETS}]}},
    {"summary": {"data_points": [{**_NUMBER, "count": 1, "quantile_values": [{"quantile": 0.5, "value": 7.0}]}]}},
)  # fmt: skip


@cache
def kept(target: str) -> tuple[bytes, ...]:
    """The inputs of `corpus/<target>`."""
    return tuple(path.read_bytes() for path in sorted((CORPUS / target).glob("*.*")))


@cache
def seeds(signal: Signal) -> tuple[bytes, ...]:
    """Small requests of a signal, no two with the same attribute names, and those kept."""
    made = list(_metrics()) if signal is Signal.METRICS else list(_exports(signal))
    return (*made, *kept(signal.value))


@cache
def json_seeds(signal: Signal) -> tuple[bytes, ...]:
    """The same in OTLP/JSON, as far as they are requests."""
    return tuple(as_json(signal, body) for body in seeds(signal) if _is_request(signal, body))


@cache
def json_inputs(signal: Signal) -> tuple[bytes, ...]:
    """Those, and the JSON that is kept, some of which is no request."""
    return (*json_seeds(signal), *kept(f"json-{signal}"))


def as_json(signal: Signal, body: bytes) -> bytes:
    """A request in OTLP/JSON."""
    return json.dumps(_hex(MessageToDict(REQUEST[signal].FromString(body), use_integers_for_enums=True))).encode()


def _is_request(signal: Signal, body: bytes) -> bool:
    try:
        return validate(signal, body) >= 0 and len(body) < 4 * _MOST_BYTES
    except Refused:
        return False


def _hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: b64decode(v).hex() if k in _IDS and isinstance(v, str) else _hex(v) for k, v in value.items()}
    return [_hex(item) for item in value] if isinstance(value, list) else value


def _metrics() -> list[bytes]:
    about = {"resource": {"attributes": [{"key": "service.name", "value": {"string_value": "app"}}]}, "schema_url": "u"}
    scope = {"scope": {"name": "s", "version": "1"}}
    metrics = [{"name": "gen_ai.client.token.usage", "unit": "{token}", **kind} for kind in _METRICS]
    many = [[metric] for metric in metrics] + [metrics]
    return [
        REQUEST[Signal.METRICS](resource_metrics=[{**about, "scope_metrics": [{**scope, "metrics": some}]}])
        .SerializeToString()
        for some in many
    ]  # fmt: skip


def _exports(signal: Signal) -> list[bytes]:
    resources, scopes, records = PATH[signal]
    found: dict[tuple[str, ...], bytes] = {}
    for path in sorted(EXPORTS.glob(f"*/*.{signal.value}.pb")):
        request = REQUEST[signal].FromString(path.read_bytes())
        for resource in getattr(request, resources):
            for scope in getattr(resource, scopes):
                for record in getattr(scope, records):
                    one = {records: [record], "scope": scope.scope}
                    alone = REQUEST[signal](**{resources: [{"resource": resource.resource, scopes: [one]}]})
                    body, names = alone.SerializeToString(), tuple(pair.key for pair in record.attributes)
                    if len(body) <= _MOST_BYTES:
                        found.setdefault((scope.scope.name, *names), body)
    every = list(found.values())
    return every[:: max(1, len(every) // _MOST_SEEDS)]
