"""The two failure words of the service: refuse (never offer it again) and retry later (offer it again, unchanged).

Code raises these; `otel_exporter.receivers.answers` alone translates them to gRPC and HTTP.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a request was turned away; also the ``reason`` label of the refusal counters."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SPOOL_FULL = "spool_full"
    SLOW = "slow"
    STOPPING = "stopping"
    STORE = "store"
    INTERNAL = "internal"


class Refused(Exception):
    """The same bytes will never be accepted. ``sentence`` says what and where, without any payload text."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class RetryLater(Exception):
    """Nothing is wrong with the data; come back in ``delay`` seconds."""

    def __init__(self, reason: Reason, sentence: str, delay: float = 1.0) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.delay = delay
