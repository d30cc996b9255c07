"""Alert rules, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field

from otel_exporter.config.section import Broken, Section, unsendable
from otel_exporter.config.values import Secret, WebAddress


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
            yield from unsendable("bearer_token", self.bearer_token)


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
