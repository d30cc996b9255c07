"""The configuration as one frozen tree: every leaf with its default, its unit and its meaning.

Who said a value, and in which order sources win, is not known here (`otel_exporter.config.load`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from otel_exporter.config.advice import AdviceSettings
from otel_exporter.config.alerting import AlertingSettings
from otel_exporter.config.books import BookSettings
from otel_exporter.config.budgets import BudgetSettings
from otel_exporter.config.enrichment import EnrichmentSettings
from otel_exporter.config.foresight import AnomalySettings, ForecastSettings
from otel_exporter.config.identity import IdentitySettings
from otel_exporter.config.processing import (
    AttributeSettings,
    ContentPolicySettings,
    ProcessorName,
    SamplingSettings,
    TenantSettings,
    broken_order,
    broken_policies,
)
from otel_exporter.config.section import Broken, Section, unsendable
from otel_exporter.config.self_monitoring import SelfMonitoringSettings
from otel_exporter.config.values import Port, Secret, ServerUrl, Size, Tenant

MIB = 2**20
GIB = 2**30


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine only. An unknown name counts as reachable from outside."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _exposed(host: str, why: str, remedy: str) -> str:
    remedies = f"bind 127.0.0.1, make a key (tokentide keys create) or set {remedy}: true"
    return f"{host} is reachable from other machines and {why}: {remedies}"


class StoreSettings(Section):
    """Where the data live."""

    data_dir: Path = Field(
        default=Path("tokentide-data"),
        description="Directory of the embedded database, the spool and the dead letters. One process at a time.",
    )
    clickhouse_url: ServerUrl | None = Field(
        default=None,
        description="Address of a ClickHouse server (`http://user@host:8123`). Unset: ClickHouse in this process.",
    )
    clickhouse_password: Secret | None = Field(
        default=None, description="Password for `clickhouse_url`, when the address does not carry one."
    )
    clickhouse_password_file: Path | None = Field(default=None, description="File holding `clickhouse_password`.")
    clickhouse_cluster: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][\w.-]*$",
        description="The server's replicas, as its configuration calls them: tables are made `ON CLUSTER`, replicated.",
    )
    max_memory: Size | None = Field(
        default=None, description="Memory the embedded database may use. Unset: half of this machine's."
    )

    @property
    def key_file(self) -> Path:
        """Where API keys are kept unless `identity.keys_file` says otherwise."""
        return self.data_dir / "keys.json"

    @property
    def server(self) -> str | None:
        """Address of the server with its password, None for the embedded database."""
        return self.clickhouse_url.reveal(self.clickhouse_password) if self.clickhouse_url else None


class Listener(Section):
    """A host and a port to listen on."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to bind.")
    port: Port = Field(default=0, description="Port to bind; 0 takes any free one.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


class TlsSettings(Section):
    """PEM files of a listener that speaks TLS; files that are replaced are read again."""

    certificate: Path | None = Field(
        default=None, description="File: the certificate, then those between it and its authority. Unset: no TLS."
    )
    key: Path | None = Field(default=None, description="File: the certificate's private key, without passphrase.")
    client_authority: Path | None = Field(
        default=None, description="File: only senders with a certificate from these authorities get in (mTLS)."
    )

    def broken_rules(self) -> Iterator[Broken]:
        """A certificate and its key go together, and nothing without them."""
        if self.certificate is None and (self.key or self.client_authority):
            yield ("certificate",), "is required with key or client_authority"
        if self.certificate is not None and self.key is None:
            yield ("key",), "is required with certificate"


class GrpcSettings(Listener):
    """OTLP over gRPC."""

    port: Port = Field(default=4317, description="Port to bind; 0 takes any free one.")
    tls: TlsSettings = Field(default=TlsSettings(), description="TLS.")


class HttpSettings(Listener):
    """OTLP over HTTP: protobuf and JSON."""

    port: Port = Field(default=4318, description="Port to bind; 0 takes any free one.")
    tls: TlsSettings = Field(default=TlsSettings(), description="TLS.")


class KeySettings(Section):
    """One ingest token and the tenant it writes for."""

    token: Secret | None = Field(default=None, description="Sent as `authorization: Bearer <token>` or `x-api-key`.")
    token_file: Path | None = Field(default=None, description="File holding `token`.")
    tenant: Tenant = Field(default="default", description="Tenant whose data the token writes.")

    def broken_rules(self) -> Iterator[Broken]:
        """A key has a token, and a header can carry it."""
        if self.token:
            yield from unsendable("token", self.token)
        elif self.token_file is None:
            yield ("token",), "is required (or token_file)"


class IngestSettings(Section):
    """What may come in, from whom, and how much of it at once."""

    grpc: GrpcSettings = Field(default=GrpcSettings(), description="OTLP over gRPC.")
    http: HttpSettings = Field(default=HttpSettings(), description="OTLP over HTTP: protobuf and JSON.")
    token: Secret | None = Field(
        default=None, description="The one ingest token, for `tenant`. Unset, and no `keys`: nobody is asked for one."
    )
    token_file: Path | None = Field(default=None, description="File holding `token`.")
    tenant: Tenant = Field(default="default", description="Tenant of `token`, and of everyone when there is no token.")
    keys: tuple[KeySettings, ...] = Field(default=(), description="More tokens, each with its tenant.")
    max_body_bytes: Size = Field(default=16 * MIB, description="Largest request body as sent.")
    max_decompressed_bytes: Size = Field(default=64 * MIB, description="Largest request body after decompression.")
    max_in_flight_bytes: Size = Field(
        default=256 * MIB, description="Bytes admitted and not yet acknowledged; beyond it senders are told to retry."
    )
    max_records: int = Field(
        default=50_000, gt=0, description="Most spans, log records or metric points in one request; more are refused."
    )
    insecure: bool = Field(
        default=False, description="Allow an address other machines can reach without any token (flag `--insecure`)."
    )

    @property
    def credentials(self) -> dict[str, str]:
        """Token to tenant; empty when nobody is asked for a token."""
        own = {self.token.reveal(): self.tenant} if self.token else {}
        return own | {key.token.reveal(): key.tenant for key in self.keys if key.token}

    def broken_rules(self) -> Iterator[Broken]:
        """Bounds nest, one token has one tenant."""
        if self.max_body_bytes > self.max_decompressed_bytes:
            yield ("max_decompressed_bytes",), "must be at least max_body_bytes"
        if self.max_decompressed_bytes > self.max_in_flight_bytes:
            yield ("max_in_flight_bytes",), "must be at least max_decompressed_bytes"
        if len(self.credentials) < (self.token is not None) + sum(key.token is not None for key in self.keys):
            yield ("keys",), "the same token appears twice"
        if self.token:
            yield from unsendable("token", self.token)

    def exposed(self) -> Iterator[Broken]:
        """Public means authenticated."""
        if not (self.token or self.token_file or self.keys or self.insecure):
            for name, listener in (("grpc", self.grpc), ("http", self.http)):
                if not (listener.is_local or listener.tls.client_authority):
                    yield (name, "host"), _exposed(listener.host, "no ingest token is set", "ingest.insecure")


class HealthSettings(Listener):
    """`/metrics`, `/healthz`, `/readyz`."""

    port: Port = Field(default=9464, description="Port to bind; 0 takes any free one.")
    tls: TlsSettings = Field(default=TlsSettings(), description="TLS.")
    insecure: bool = Field(
        default=False,
        description="Allow an address other machines can reach without authentication: anybody reads the metrics.",
    )
    dashboards: bool = Field(
        default=True,
        description="Show the dashboards at `/`: to browsers on this machine, or with a key. Off: everybody gets 404.",
    )

    @property
    def is_guarded(self) -> bool:
        """Whether the metrics ask for a key: other machines get here, and nobody said they may."""
        return not (self.is_local or self.insecure or self.tls.client_authority)

    def exposed(self) -> Iterator[Broken]:
        """Public means authenticated."""
        if self.is_guarded:
            yield ("host",), _exposed(self.host, "/metrics has no authentication", "health.insecure")


class UserSettings(Section):
    """Somebody who may ask over the ClickHouse HTTP interface."""

    name: str = Field(min_length=1, description="As ClickHouse clients send it.")
    password: Secret | None = Field(default=None, description="As ClickHouse clients send it.")
    password_file: Path | None = Field(default=None, description="File holding `password`.")
    role: Literal["query", "ingest"] = Field(
        default="query", description="`query` reads; `ingest` also inserts into the `otel_*` tables."
    )

    def broken_rules(self) -> Iterator[Broken]:
        """A user has a password."""
        if self.password is None and self.password_file is None:
            yield ("password",), "is required (or password_file)"


class ClickhouseHttpSettings(Listener):
    """ClickHouse's HTTP interface over the embedded database."""

    enabled: bool = Field(default=True, description="Open it at all. Never opened with `store.clickhouse_url`.")
    port: Port = Field(default=8123, description="Port to bind; 0 takes any free one.")
    tls: TlsSettings = Field(default=TlsSettings(), description="TLS.")
    users: tuple[UserSettings, ...] = Field(
        default=(), description="Who may ask. None: everybody on this machine may read, as `default`, without password."
    )
    max_seconds: int = Field(default=60, gt=0, description="Seconds one query may take.")
    max_memory: Size = Field(default=GIB, description="Memory one query may take.")
    max_result_bytes: Size = Field(
        default=256 * MIB,
        description="Largest answer held in memory. Answers in formats that stream are not held, and not bounded.",
    )
    insecure: bool = Field(
        default=False, description="Allow an address other machines can reach without users (flag `--insecure`)."
    )

    def broken_rules(self) -> Iterator[Broken]:
        """A name is one user."""
        if len({user.name for user in self.users}) < len(self.users):
            yield ("users",), "the same name appears twice"

    def exposed(self) -> Iterator[Broken]:
        """Public means authenticated."""
        if self.enabled and not (self.is_local or self.users or self.insecure or self.tls.client_authority):
            yield ("host",), _exposed(self.host, "no users are set", "clickhouse_http.insecure")


class SpoolSettings(Section):
    """What is acknowledged and not yet in ClickHouse."""

    max_bytes: Size = Field(default=2 * GIB, description="Size of the spool; when full, senders are told to retry.")


SHORTEST_HASH_KEY: Final = 16


class ContentSettings(Section):
    """What happens to prompts, answers and identities before anything reaches a disk or a log."""

    policy: Literal["drop", "redact", "hash", "keep"] = Field(
        default="drop",
        description="Message content: `drop` it, `redact` secrets and personal data in it, `hash` it, `keep` it.",
    )
    policies: tuple[ContentPolicySettings, ...] = Field(
        default=(), description="Tenants, teams, applications with a policy of their own (docs/privacy.md)."
    )
    identity: Literal["keep", "hash"] = Field(
        default="keep",
        description="Attributes that name people (user, end user, client address): `keep`, or keyed `hash`.",
    )
    hash_key: Secret | None = Field(default=None, description="Key of the hashes; needed by `hash`.")
    hash_key_file: Path | None = Field(default=None, description="File holding `hash_key`.")

    def broken_rules(self) -> Iterator[Broken]:
        """Hashing needs a key: without one, guessing the values undoes it."""
        hashed = "hash" in (self.policy, self.identity, *(one.policy for one in self.policies))
        if self.hash_key is None and self.hash_key_file is None and hashed:
            yield ("hash_key",), "is required to hash (or hash_key_file)"
        yield from broken_policies(self.policy, self.policies)


class PriceSettings(Section):
    """Which number is charged, and prices of your own."""

    charge: Literal["reported", "local", "reported_only"] = Field(
        default="reported",
        description="`reported`: what provider or gateway said, else the price book; `local`: the price book; "
        "`reported_only`: never the price book.",
    )
    believe_zero: bool = Field(default=False, description="Believe a reported cost of 0 for a call that has tokens.")
    overrides: tuple[dict[str, Any], ...] = Field(
        default=(), description="Prices of your own, over the table's: see [prices](prices.md)."
    )
    discounts: tuple[dict[str, Any], ...] = Field(default=(), description="Discounts: see [prices](prices.md).")
    margins: tuple[dict[str, Any], ...] = Field(default=(), description="Margins: see [prices](prices.md).")
    file: Path | None = Field(default=None, description="Price table in LiteLLM's format; unset: LiteLLM's own.")

    def broken_rules(self) -> Iterator[Broken]:
        """What the price book cannot read, it says itself."""
        from processors.prices import written

        for read, terms in (
            (written.overrides, self.overrides),
            (written.discounts, self.discounts),
            (written.margins, self.margins),
        ):
            try:
                read(terms)
            except written.BadTerms as bad:
                yield from (((*fault.path,), fault.sentence) for fault in bad.faults)


Days = Annotated[int, Field(ge=0, le=36_500)]


class RetentionSettings(Section):
    """How many days rows are kept, counted from their own time; 0 keeps them for ever."""

    traces: Days = Field(default=30, description="Spans (`otel_traces`).")
    logs: Days = Field(default=30, description="Log records (`otel_logs`).")
    metrics: Days = Field(default=30, description="Metric points (`otel_metrics_*`).")
    content: Days = Field(default=30, description="Messages that the content policy keeps (`genai_content`).")
    limits: Days = Field(default=90, description="Budgets and rate limits (`genai_limits`).")
    refusals: Days = Field(default=400, description="Refused requests (`genai_refusals`).")
    ledger: Days = Field(default=0, description="Calls (`genai_ledger`, `genai_reversals`).")
    rollup_minute: Days = Field(default=14, description="Sums by minute.")
    rollup_hour: Days = Field(default=400, description="Sums by hour.")
    rollup_day: Days = Field(default=0, description="Sums by day, and the values of drop-down menus.")
    rollup_end_user: Days = Field(default=400, description="Sums by day and end user.")
    imports: Days = Field(default=400, description="Imported names, comparisons with a gateway's books.")
    foresight: Days = Field(default=400, description="Forecasts, outlooks of budgets, anomalies.")
    alerts: Days = Field(default=400, description="Alerts (`alert_state`).")


class LogSettings(Section):
    """Our own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe line shown.")
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is `console` on a terminal and `json` elsewhere."
    )


class Settings(Section):
    """The whole configuration."""

    store: StoreSettings = Field(default=StoreSettings(), description="Where the data live.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="What may come in.")
    clickhouse_http: ClickhouseHttpSettings = Field(
        default=ClickhouseHttpSettings(), description="ClickHouse's HTTP interface over the embedded database."
    )
    health: HealthSettings = Field(default=HealthSettings(), description="`/metrics`, `/healthz`, `/readyz`.")
    identity: IdentitySettings = Field(
        default=IdentitySettings(), description="Who may send and read: see [security](security.md)."
    )
    spool: SpoolSettings = Field(default=SpoolSettings(), description="What is acknowledged and not yet stored.")
    content: ContentSettings = Field(default=ContentSettings(), description="Prompts, answers, identities.")
    prices: PriceSettings = Field(default=PriceSettings(), description="Which number is charged.")
    enrichment: EnrichmentSettings = Field(default=EnrichmentSettings(), description="Whose calls are whose.")
    alerting: AlertingSettings = Field(default=AlertingSettings(), description="Rules, and who is told.")
    processors: tuple[ProcessorName, ...] = Field(
        default=(),
        description="Processors and dialects of your own, `package.module:factory`, and where they run among ours "
        "([processors](processors.md)).",
    )
    sampling: SamplingSettings = Field(default=SamplingSettings(), description="How much is kept of other spans.")
    attributes: AttributeSettings = Field(default=AttributeSettings(), description="Which attributes are stored.")
    tenants: tuple[TenantSettings, ...] = Field(default=(), description="What is different for a tenant.")
    retention: RetentionSettings = Field(default=RetentionSettings(), description="How long rows are kept, in days.")
    forecast: ForecastSettings = Field(default=ForecastSettings(), description="Forecasts.")
    anomalies: AnomalySettings = Field(default=AnomalySettings(), description="Anomalies.")
    budgets: tuple[BudgetSettings, ...] = Field(default=(), description="Budgets: see [budgets](budgets.md).")
    self_monitoring: SelfMonitoringSettings = Field(
        default=SelfMonitoringSettings(), description="Own metrics in the own store."
    )
    advice: AdviceSettings = Field(default=AdviceSettings(), description="Advice: see [advice](advice.md).")
    books: BookSettings = Field(default=BookSettings(), description="Closing months: see [books](books.md).")
    log: LogSettings = Field(default=LogSettings(), description="Our own log.")

    @property
    def key_file(self) -> Path:
        """Where the API keys are kept."""
        return self.identity.keys_file or self.store.key_file

    def broken_rules(self) -> Iterator[Broken]:
        """A budget has a name of its own in its tenant, a tenant one entry; processors can run in that order."""
        names = [(one.tenant or self.ingest.tenant, one.name) for one in self.budgets]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield ("budgets", index, "name"), "the same name appears twice"
        for index, one in enumerate(self.tenants):
            if one.tenant in [other.tenant for other in self.tenants[:index]]:
                yield ("tenants", index, "tenant"), "the same tenant appears twice"
        yield from broken_order(self.processors)
