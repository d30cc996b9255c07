"""Configuration of who may send, and how much: API keys, certificates, limits of tenants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from otel_exporter.config.section import Broken, Section
from otel_exporter.config.values import Size, Tenant


class CertificateSettings(Section):
    """A client certificate, and the tenant it writes for."""

    name: str = Field(min_length=1, description="Common name, DNS name or URI in the certificate.")
    tenant: Tenant = Field(default="default", description="Tenant whose data its owner writes, without a token.")


class LimitSettings(Section):
    """How much a tenant may send."""

    tenant: Tenant | None = Field(default=None, description="Whose limits; unset: of each tenant that has none.")
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second; over it senders are told to retry (429).",
    )
    bytes_per_second: Size | None = Field(
        default=None, description="Bytes a second as sent; over it senders are told to retry (429)."
    )
    max_body_bytes: Size | None = Field(
        default=None, description="Largest request body as sent; a larger one is refused."
    )


class IdentitySettings(Section):
    """Who may send and read: see [security](security.md)."""

    keys_file: Path | None = Field(
        default=None, description="File of the API keys (`tokentide keys`). Unset: `keys.json` in `store.data_dir`."
    )
    certificates: tuple[CertificateSettings, ...] = Field(
        default=(), description="Client certificates and their tenants, for OTLP listeners with a `client_authority`."
    )
    limits: tuple[LimitSettings, ...] = Field(default=(), description="How much tenants may send.")

    def broken_rules(self) -> Iterator[Broken]:
        """A certificate is one tenant's; a tenant has its limits once."""
        for what, names in (
            ("certificates", [one.name for one in self.certificates]),
            ("limits", [one.tenant for one in self.limits]),
        ):
            for index, name in enumerate(names):
                if name in names[:index]:
                    yield (what, index), "the same one appears twice"
