"""Who may send, and how much: tokens, keys, certificates; bounds of one body, limits of a tenant, bytes in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from types import TracebackType
from typing import Final

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.identity.keyring import Keyring
from otel_exporter.identity.keys import Scope
from otel_exporter.identity.quotas import Quotas
from otel_exporter.telemetry import Metric

BEARER: Final = "bearer "
MAX_RECORDS: Final = 50_000
HOW: Final = "send it as 'authorization: Bearer <token>' or 'x-api-key: <token>'"


def token_hash(token: str) -> str:
    """SHA-256 of an ingest token, in hex: the only form in which `Admission` holds tokens."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class _Flight:
    """Bytes in flight."""

    size: int = 0


class Admission:
    """The bounds and tokens that all receivers share. Belongs to one event loop; not thread-safe.

    Args:
        tokens: `token_hash` of each ingest token -> the tenant it stands for. Empty: no authentication.
        max_body_bytes: the most bytes one request may have on the wire.
        max_decompressed_bytes: the most bytes it may have once inflated.
        max_in_flight_bytes: the most bytes all unanswered requests together may hold.
        default_tenant: the tenant of every request when nobody is asked who he is.
        max_records: the most spans, log records or metric points one request may hold.
        keys: API keys, with the scope `ingest`; once there is a key file, nobody gets in unknown.
        certificates: a name in a client certificate -> the tenant of who has no token.
        own: `token_hash` of tokens that get in besides, whose being there does not mean that anybody is asked.
        quotas: how much each tenant may send.
    """

    def __init__(  # noqa: PLR0913 - bounds and credentials, each by its name
        self,
        tokens: Mapping[str, str],
        max_body_bytes: int,
        max_decompressed_bytes: int,
        max_in_flight_bytes: int,
        default_tenant: str = "default",
        *,
        max_records: int = MAX_RECORDS,
        keys: Keyring | None = None,
        certificates: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        if max_in_flight_bytes < max(max_body_bytes, max_decompressed_bytes):
            raise ValueError("max_in_flight_bytes is smaller than one allowed request: such a request would never fit")
        self.max_body_bytes = max_body_bytes
        self.max_decompressed_bytes = max_decompressed_bytes
        self.max_records = max_records
        self._tokens = {**tokens, **(own or {})}
        self._certificates = dict(certificates or {})
        self._asking = bool(tokens or self._certificates)
        self._keys = keys
        self._quotas = quotas or Quotas()
        self._max_in_flight = max_in_flight_bytes
        self._flight = _Flight()
        self._default_tenant = default_tenant

    def closed_to_all_but(self, tokens: Mapping[str, str]) -> Admission:
        """The same bounds, and the same bytes in flight, for another listener with other tokens."""
        if not tokens:
            raise ValueError("without tokens it would be open to all")
        other = Admission(
            tokens,
            self.max_body_bytes,
            self.max_decompressed_bytes,
            self._max_in_flight,
            max_records=self.max_records,
            quotas=self._quotas,
        )
        other._flight = self._flight
        return other

    @property
    def asks(self) -> bool:
        """Whether a sender has to say who he is."""
        return self._asking or (self._keys is not None and self._keys.asked)

    def authenticate(self, headers: Mapping[str, str], certificate: Callable[[], Sequence[str]] = lambda: ()) -> str:
        """The tenant of a request, from its headers (keys lower-case or case-insensitive), and one request counted.

        ``certificate`` says which names the sender's certificate has; it is asked when no token came.

        Raises:
            Refused: nobody gets in unknown, and the request has no credential or an unknown one.
            RetryLater: the tenant sends too much.
        """
        tenant = self._authenticated(headers, certificate) if self.asks else self._default_tenant
        self._quotas.enter(tenant)
        return tenant

    def _authenticated(self, headers: Mapping[str, str], certificate: Callable[[], Sequence[str]]) -> str:
        presented = list(_presented(headers))
        for token in presented:
            if tenant := self._tenant_of(token):
                return tenant
        if presented:
            raise Refused(Reason.UNAUTHENTICATED, f"The ingest token is not known here: {HOW}.")
        for name in certificate() if self._certificates else ():
            if tenant := self._certificates.get(name, ""):
                return tenant
        raise Refused(Reason.UNAUTHENTICATED, f"No ingest token: {HOW}.")

    def _tenant_of(self, token: str) -> str:
        """Compares with every known hash, so that the time taken does not depend on which one matches."""
        hashed, found = token_hash(token), ""
        for known, tenant in self._tokens.items():
            if compare_digest(hashed, known):
                found = tenant
        if not found and self._keys is not None and (key := self._keys.known(token, Scope.INGEST)):
            return key.tenant
        return found

    def bound_body(self, size: int, tenant: str = "") -> None:
        """Refuse a body of ``size`` bytes on the wire when that is over the bound, or over that of ``tenant``.

        Raises:
            Refused: it is.
        """
        if size > self.max_body_bytes:
            raise Refused(
                Reason.TOO_LARGE,
                f"The request body is larger than the {self.max_body_bytes} bytes allowed; send smaller batches.",
            )
        if tenant:
            self._quotas.check_body(tenant, size)

    def arrived(self, tenant: str, size: int) -> None:
        """A body of ``size`` bytes on the wire is here."""
        self._quotas.spend(tenant, size)

    def room_for(self, size: int) -> None:
        """Ask a sender who announces ``size`` bytes to come back when there is no room for them now.

        Raises:
            RetryLater: there is none.
        """
        if self._flight.size + size > self._max_in_flight:
            raise RetryLater(Reason.OVERLOADED, "Too many bytes are waiting to be stored; send the same request later.")

    def reserve(self) -> Reservation:
        """A context in which one request holds bytes; leaving it gives them back."""
        return Reservation(self)

    @property
    def in_flight(self) -> int:
        """Bytes of unanswered requests, those of listeners that share them included."""
        return self._flight.size

    def _hold(self, size: int) -> None:
        self._flight.size += size
        Metric.IN_FLIGHT.set(self._flight.size)


class Reservation:
    """The bytes in flight of one request: grows as the body arrives, so a slow sender holds only what it has sent."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._size = 0

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes more.

        Raises:
            RetryLater: all requests together would hold more than `max_in_flight_bytes`.
        """
        self._admission.room_for(size)
        self._admission._hold(size)
        self._size += size

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission._hold(-self._size)
        self._size = 0


def _presented(headers: Mapping[str, str]) -> Iterator[str]:
    authorization = headers.get("authorization", "")
    if authorization[: len(BEARER)].lower() == BEARER:
        yield authorization[len(BEARER) :].strip()
    if key := headers.get("x-api-key", ""):
        yield key.strip()
