"""What the tests of the ClickHouse HTTP interface share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.endpoint_door import opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the interface listens."""
    with opened(tmp_path_factory.mktemp("endpoint")) as where:
        yield where
