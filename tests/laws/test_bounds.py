"""Every bound is exported: a number somebody can hit is a number somebody can see."""

from __future__ import annotations

import re

import pytest

from otel_exporter.bounds import FIXED, in_list, publish
from otel_exporter.config.fields import leaves
from otel_exporter.config.identity import IdentitySettings, LimitSettings
from otel_exporter.config.tree import Settings
from otel_exporter.config.values import SizeMark
from otel_exporter.telemetry import exposition

OPTIONAL = {("store", "max_memory")}  # unset: half of this machine's


def exported(settings: Settings | None = None) -> dict[str, float]:
    publish(settings or Settings())
    found = re.findall(r'^tokentide_limit\{bound="(.+)"\} (\S+)$', exposition().decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, field in leaves()
        if not in_list(path)
        and (any(isinstance(mark, SizeMark) for mark in field.metadata) or str(path[-1]).startswith(("max_", "most")))
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_every_bound_of_the_configuration_is_a_gauge(path: tuple[str, ...]) -> None:
    """A size, or a setting that begins with ``max_`` or ``most``, appears in `tokentide_limit` with its value."""
    if path in OPTIONAL:
        return
    value: object = Settings()
    for part in path:
        value = getattr(value, part)
    assert exported()[".".join(path)] == value


def test_what_a_tenant_may_send_is_a_gauge() -> None:
    """Each limit of each tenant appears under the tenant's name, that of all others under `*`."""
    limits = (LimitSettings(tenant="acme", max_body_bytes=1000), LimitSettings(requests_per_second=2.5))
    found = exported(Settings(identity=IdentitySettings(limits=limits)))
    assert found["identity.limits.acme.max_body_bytes"] == 1000
    assert found["identity.limits.*.requests_per_second"] == 2.5


def test_fixed_bounds_are_gauges_too() -> None:
    """So are the bounds that no setting changes."""
    assert FIXED.items() <= exported().items()
    assert {"spool.max_bytes", "ingest.max_in_flight_bytes"} <= exported().keys()
