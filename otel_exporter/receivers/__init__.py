"""The door: OTLP over gRPC and HTTP, up to the moment a request is durable (DESIGN 4, step 1).

`admit` says who may send and how much, `body` collects and inflates, `intake` validates and hands over to the `Sink`,
`grpc` and `http` speak the two transports, `answers` alone turns a failure into what the sender sees.
"""

from __future__ import annotations

from otel_exporter.receivers.admit import Admission, token_hash
from otel_exporter.receivers.endpoint import PortTaken
from otel_exporter.receivers.grpc import GrpcReceiver
from otel_exporter.receivers.http import HttpReceiver
from otel_exporter.receivers.intake import Sink
from otel_exporter.receivers.tls import Tls

__all__ = ["Admission", "GrpcReceiver", "HttpReceiver", "PortTaken", "Sink", "Tls", "token_hash"]
