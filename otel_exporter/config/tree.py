"""The configuration as one frozen tree: every leaf with its default, its unit and its meaning.

Who said a value, and in which order sources win, is not known here (`otel_exporter.config.load`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from otel_exporter.config.budgets import BudgetSettings
from otel_exporter.config.section import Broken, Section
from otel_exporter.config.values import Factory, Port, Secret, ServerUrl, Size, Tenant, WebAddress

MIB = 2**20
GIB = 2**30


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine only. An unknown name counts as reachable from outside."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _exposed(host: str, why: str, remedy: str) -> str:
    return f"{host} is reachable from other machines and {why}: bind 127.0.0.1 or set {remedy}: true"


def _unsendable(name: str, token: Secret) -> Iterator[Broken]:
    if not all("!" <= character <= "~" for character in token.reveal()):
        yield (name,), "must be printable ASCII without spaces, or no HTTP header can carry it"


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
    max_memory: Size | None = Field(
        default=None, description="Memory the embedded database may use. Unset: half of this machine's."
    )

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


class GrpcSettings(Listener):
    """OTLP over gRPC."""

    port: Port = Field(default=4317, description="Port to bind; 0 takes any free one.")


class HttpSettings(Listener):
    """OTLP over HTTP: protobuf and JSON."""

    port: Port = Field(default=4318, description="Port to bind; 0 takes any free one.")


class KeySettings(Section):
    """One ingest token and the tenant it writes for."""

    token: Secret | None = Field(default=None, description="Sent as `authorization: Bearer <token>` or `x-api-key`.")
    token_file: Path | None = Field(default=None, description="File holding `token`.")
    tenant: Tenant = Field(default="default", description="Tenant whose data the token writes.")

    def broken_rules(self) -> Iterator[Broken]:
        """A key has a token, and a header can carry it."""
        if self.token:
            yield from _unsendable("token", self.token)
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
    insecure: bool = Field(
        default=False, description="Allow an address other machines can reach without any token (flag `--insecure`)."
    )

    @property
    def credentials(self) -> dict[str, str]:
        """Token to tenant; empty when nobody is asked for a token."""
        own = {self.token.reveal(): self.tenant} if self.token else {}
        return own | {key.token.reveal(): key.tenant for key in self.keys if key.token}

    def broken_rules(self) -> Iterator[Broken]:
        """Public means authenticated, bounds nest, one token has one tenant."""
        if not (self.token or self.token_file or self.keys or self.insecure):
            for name, listener in (("grpc", self.grpc), ("http", self.http)):
                if not listener.is_local:
                    yield (name, "host"), _exposed(listener.host, "no ingest token is set", "ingest.insecure")
        if self.max_body_bytes > self.max_decompressed_bytes:
            yield ("max_decompressed_bytes",), "must be at least max_body_bytes"
        if self.max_decompressed_bytes > self.max_in_flight_bytes:
            yield ("max_in_flight_bytes",), "must be at least max_decompressed_bytes"
        if len(self.credentials) < (self.token is not None) + sum(key.token is not None for key in self.keys):
            yield ("keys",), "the same token appears twice"
        if self.token:
            yield from _unsendable("token", self.token)


class HealthSettings(Listener):
    """`/metrics`, `/healthz`, `/readyz`."""

    port: Port = Field(default=9464, description="Port to bind; 0 takes any free one.")
    insecure: bool = Field(
        default=False, description="Allow an address other machines can reach: metrics have no authentication."
    )
    dashboards: bool = Field(
        default=True, description="Show the dashboards at `/`, to browsers on this machine; off: everybody gets 404."
    )

    def broken_rules(self) -> Iterator[Broken]:
        """Metrics have no authentication, so they stay on this machine unless someone says otherwise."""
        if not self.is_local and not self.insecure:
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
        """Public means authenticated; a name is one user."""
        if self.enabled and not (self.is_local or self.users or self.insecure):
            yield ("host",), _exposed(self.host, "no users are set", "clickhouse_http.insecure")
        if len({user.name for user in self.users}) < len(self.users):
            yield ("users",), "the same name appears twice"


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
    identity: Literal["keep", "hash"] = Field(
        default="keep",
        description="Attributes that name people (user, end user, client address): `keep`, or keyed `hash`.",
    )
    hash_key: Secret | None = Field(default=None, description="Key of the hashes; needed by `hash`.")
    hash_key_file: Path | None = Field(default=None, description="File holding `hash_key`.")

    def broken_rules(self) -> Iterator[Broken]:
        """Hashing needs a key: without one, guessing the values undoes it."""
        if self.hash_key is None and self.hash_key_file is None and "hash" in (self.policy, self.identity):
            yield ("hash_key",), "is required to hash (or hash_key_file)"


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


#: As `forecasting.rollups.AXES`, which would bring the models' libraries with it; a test compares the two.
Axis = Literal[
    "total", "tenant", "organization", "team", "project", "cost_center", "owner", "user_id", "api_key_alias",
    "application", "agent", "provider", "model", "requested_model", "environment", "deployment_id",
]  # fmt: skip


class ForecastSettings(Section):
    """What forecasts may know and cost."""

    country: str = Field(
        default="",
        pattern=r"^([A-Z]{2})?$",
        description="Country (ISO 3166, `DE`) whose holidays Prophet takes into account; empty: none.",
    )
    prophet_series: int = Field(
        default=20, ge=0, description="Prophet takes part in daily forecasts of so many of the largest series."
    )
    scheduled: bool = Field(
        default=True, description="Forecast while `serve` runs, every hour, in a process of its own at low priority."
    )
    axes: tuple[Axis, ...] = Field(
        default=("total", "team", "model"),
        description="What `serve` forecasts apart: spend by day and by hour of each value, and of every budget.",
    )
    most: int = Field(default=50, ge=1, description="Series of an axis that `serve` forecasts at most, largest first.")
    delay_seconds: int = Field(default=30, ge=0, description="Seconds after the start before the first forecast.")
    outlook_minutes: int = Field(
        default=5, ge=0, le=1440, description="Minutes between two outlooks of budgets (`genai_budget`); 0: none."
    )
    gateway_budgets: int = Field(
        default=200,
        ge=0,
        description="Budgets of LiteLLM's that are taken over at most, nearest to their limit first; 0: none.",
    )


class AlertmanagerSettings(Section):
    """One Alertmanager; of a cluster, name every peer."""

    url: WebAddress = Field(description="Its address, such as `http://alertmanager:9093`; a path in front is fine.")
    username: str | None = Field(default=None, description="Name for basic authentication.")
    password: Secret | None = Field(default=None, description="Password for basic authentication.")
    password_file: Path | None = Field(default=None, description="File holding `password`.")
    bearer_token: Secret | None = Field(default=None, description="Sent as `Authorization: Bearer`.")
    bearer_token_file: Path | None = Field(default=None, description="File holding `bearer_token`.")
    ca_file: Path | None = Field(default=None, description="Certificates to trust instead of the system's.")
    cert_file: Path | None = Field(default=None, description="Our certificate, when it asks for one.")
    key_file: Path | None = Field(default=None, description="Key of `cert_file`.")
    insecure_skip_verify: bool = Field(default=False, description="Believe any certificate.")
    timeout_seconds: int = Field(default=10, gt=0, description="Seconds it may take to answer.")

    def broken_rules(self) -> Iterator[Broken]:
        """One way to log in, and a whole one."""
        if self.username and not (self.password or self.password_file):
            yield ("password",), "is required with username (or password_file)"
        if self.username and (self.bearer_token or self.bearer_token_file):
            yield ("bearer_token",), "cannot go with username: choose one"
        if self.bearer_token:
            yield from _unsendable("bearer_token", self.bearer_token)


class RuleSettings(Section):
    """A word on one rule, of ours or of your own."""

    alert: str = Field(min_length=1, description="Name of the rule.")
    enabled: bool | None = Field(default=None, description="Switch it on or off.")
    min_usd: Decimal | None = Field(default=None, ge=0, description="Dollars below which a row is no alert.")
    min_calls: int | None = Field(default=None, ge=0, description="Calls below which a row is no alert.")

    @property
    def changes(self) -> dict[str, Any]:
        """What is said, by the rule's own names."""
        said = {"enabled": self.enabled, "min_usd": self.min_usd, "min_calls": self.min_calls}
        return {name: value for name, value in said.items() if value is not None}


class AlertingSettings(Section):
    """Rules, and who is told: see [alerts](alerts.md)."""

    enabled: bool = Field(default=True, description="Evaluate rules while `serve` runs.")
    builtin: bool = Field(default=True, description="Evaluate the rules that come with Tokentide.")
    rule_files: tuple[Path, ...] = Field(
        default=(), description="Rule files of your own. A rule with the name of one of ours takes its place."
    )
    rules: tuple[RuleSettings, ...] = Field(default=(), description="Words on single rules.")
    alertmanagers: tuple[AlertmanagerSettings, ...] = Field(
        default=(), description="Who is told; none: alerts are only kept in `alert_state`."
    )
    external_labels: dict[str, str] = Field(default={}, description="Labels of every alert, such as `cluster: eu`.")
    owners: dict[str, str] = Field(
        default={}, description="Team to `owner`, the label alerts are routed by, when the data do not name one."
    )
    suppressions: tuple[dict[str, Any], ...] = Field(
        default=(), description="Windows in which nothing new is announced: see [alerts](alerts.md#suppressions)."
    )
    resend_delay_seconds: int = Field(default=60, gt=0, description="Seconds after which a firing alert is sent again.")
    grafana_url: WebAddress | None = Field(default=None, description="Where `dashboard_url` points.")
    runbook_url: str = Field(default="docs/alerts.md", description="Page that `runbook_url` points into.")

    def broken_rules(self) -> Iterator[Broken]:
        """What the windows cannot be read as, they say themselves; labels are what Alertmanager takes."""
        from alerting.files import LABEL
        from alerting.suppression import suppression

        for index, said in enumerate(self.suppressions):
            try:
                suppression(said)
            except ValueError as error:
                yield ("suppressions", index), str(error)
        for name in self.external_labels:
            if not LABEL.fullmatch(name):
                yield ("external_labels", name), "must be letters, digits and underscores"


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
    spool: SpoolSettings = Field(default=SpoolSettings(), description="What is acknowledged and not yet stored.")
    content: ContentSettings = Field(default=ContentSettings(), description="Prompts, answers, identities.")
    prices: PriceSettings = Field(default=PriceSettings(), description="Which number is charged.")
    alerting: AlertingSettings = Field(default=AlertingSettings(), description="Rules, and who is told.")
    processors: tuple[Factory, ...] = Field(
        default=(), description="Processors and dialects of your own (docs/plugins.md): `package.module:factory`."
    )
    retention: RetentionSettings = Field(default=RetentionSettings(), description="How long rows are kept, in days.")
    forecast: ForecastSettings = Field(default=ForecastSettings(), description="Forecasts.")
    budgets: tuple[BudgetSettings, ...] = Field(default=(), description="Budgets: see [budgets](budgets.md).")
    log: LogSettings = Field(default=LogSettings(), description="Our own log.")

    def broken_rules(self) -> Iterator[Broken]:
        """A budget has a name of its own in its tenant."""
        names = [(one.tenant or self.ingest.tenant, one.name) for one in self.budgets]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield ("budgets", index, "name"), "the same name appears twice"
