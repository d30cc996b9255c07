"""What `serve` opens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

from otel_exporter.config.tree import Settings
from otel_exporter.endpoint.users import Users
from otel_exporter.service import Service


def test_a_clickhouse_server_has_its_own_interface() -> None:
    """With the data on a ClickHouse server, no second ClickHouse interface is opened beside it."""

    async def opened() -> Any:
        async with AsyncExitStack() as doors:
            parts: Any = SimpleNamespace(store=SimpleNamespace(is_embedded=False))
            return await Service(Settings())._ask(doors, parts, Users())

    assert asyncio.run(opened()) == {}
