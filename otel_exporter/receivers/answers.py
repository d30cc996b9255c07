"""What a sender is told: the one place where a failure becomes a gRPC status or an HTTP response.

The OTLP specification decides: retryable is UNAVAILABLE / 503 with a delay, everything else is dropped by the sender.

- gRPC failures: https://opentelemetry.io/docs/specs/otlp/#failures
- gRPC throttling: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling
- HTTP responses: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
- HTTP failures (a google.rpc.Status in the encoding of the request): https://opentelemetry.io/docs/specs/otlp/#failures-1
- HTTP bad data: https://opentelemetry.io/docs/specs/otlp/#bad-data
- HTTP throttling: https://opentelemetry.io/docs/specs/otlp/#otlphttp-throttling
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final, NoReturn

import grpc
from aiohttp import web
from google.protobuf.json_format import MessageToJson
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from otel_exporter.failures import Reason, Refused, RetryLater

Failure = Refused | RetryLater

#: Refusals. RESOURCE_EXHAUSTED without RetryInfo is not retryable, which is what a too large request must be:
#: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-request and https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
_REFUSALS: Final = {
    Reason.MALFORMED: (grpc.StatusCode.INVALID_ARGUMENT, 400),
    Reason.UNAUTHENTICATED: (grpc.StatusCode.UNAUTHENTICATED, 401),
    Reason.FORBIDDEN: (grpc.StatusCode.PERMISSION_DENIED, 403),
    Reason.TOO_LARGE: (grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    Reason.MEDIA_TYPE: (grpc.StatusCode.INVALID_ARGUMENT, 415),
}
_OTHER_REFUSAL: Final = _REFUSALS[Reason.MALFORMED]
_RETRY_LATER: Final = (grpc.StatusCode.UNAVAILABLE, 503)
#: Throttling of one sender: RESOURCE_EXHAUSTED with RetryInfo, and 429 with Retry-After, are retryable.
_RATE_LIMITED: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, 429)
_DETAILS: Final = "grpc-status-details-bin"


class Media(StrEnum):
    """The two encodings of OTLP/HTTP, as their media types."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def _codes(failure: Failure) -> tuple[grpc.StatusCode, int]:
    if isinstance(failure, RetryLater):
        return _RATE_LIMITED if failure.reason is Reason.RATE_LIMITED else _RETRY_LATER
    return _REFUSALS.get(failure.reason, _OTHER_REFUSAL)


def _status(code: grpc.StatusCode, sentence: str) -> Status:
    return Status(code=code.value[0], message=sentence)


def _status_of(failure: Failure) -> Status:
    code, _ = _codes(failure)
    status = _status(code, failure.sentence)
    if isinstance(failure, RetryLater):
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(int(failure.delay * 1e9))
        status.details.add().Pack(retry)
    elif code is grpc.StatusCode.INVALID_ARGUMENT:
        violation = BadRequest.FieldViolation(field="request", description=failure.sentence)
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    return status


async def abort(context: grpc.aio.ServicerContext[Any, Any], failure: Failure) -> NoReturn:
    """End a gRPC call with the status of ``failure`` and its details."""
    details = ((_DETAILS, _status_of(failure).SerializeToString()),)
    await context.abort(_codes(failure)[0], failure.sentence, details)
    raise AssertionError("abort does not return")


def success(media: Media) -> web.Response:
    """HTTP 200 with an empty Export*ServiceResponse: `partial_success` stays unset.

    https://opentelemetry.io/docs/specs/otlp/#full-success-1
    """
    return web.Response(body=b"{}" if media is Media.JSON else b"", content_type=media)


def failure_response(failure: Failure, media: Media) -> web.Response:
    """The HTTP response to ``failure``."""
    _, http = _codes(failure)
    headers = {}
    if isinstance(failure, RetryLater):
        headers["Retry-After"] = str(max(1, math.ceil(failure.delay)))
    elif failure.reason is Reason.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="tokentide"'
    return _response(http, _status_of(failure), media, headers)


def no_such_path(paths: str, media: Media) -> web.Response:
    """HTTP 404, naming the paths there are."""
    return _response(404, _status(grpc.StatusCode.NOT_FOUND, f"No such path; OTLP goes to {paths}."), media, {})


def no_such_method(media: Media) -> web.Response:
    """HTTP 405."""
    status = _status(grpc.StatusCode.UNIMPLEMENTED, "OTLP is sent with POST.")
    return _response(405, status, media, {"Allow": "POST"})


def _response(http: int, status: Status, media: Media, headers: dict[str, str]) -> web.Response:
    body = MessageToJson(status, indent=None).encode() if media is Media.JSON else status.SerializeToString()
    return web.Response(status=http, body=body, content_type=media, headers=headers)
