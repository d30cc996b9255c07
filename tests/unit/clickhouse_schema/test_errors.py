"""Two words for every failure, decided by ClickHouse's code."""

from __future__ import annotations

from clickhouse_schema import errors
from clickhouse_schema.errors import StoreRejected, StoreUnavailable, from_code
from clickhouse_schema.store import Store


def test_codes_have_the_engines_names(opened: Store) -> None:
    """The table of codes is ClickHouse's own, so a typing error in it would be seen."""
    for code, name in (errors.TRANSIENT | errors.ROWS).items():
        assert opened.command("SELECT errorCodeToName({code:UInt32})", {"code": code}) == name


def test_no_code_means_not_reached() -> None:
    """A failure that never came to ClickHouse is no judgement on the data."""
    assert isinstance(from_code(None, None, "connection refused"), StoreUnavailable)


def test_memory_passes_types_do_not() -> None:
    """What an operator or time can heal is asked again; what the rows did is not."""
    assert isinstance(from_code(241, "MEMORY_LIMIT_EXCEEDED", ""), StoreUnavailable)
    assert isinstance(from_code(252, "TOO_MANY_PARTS", ""), StoreUnavailable)
    rejected = from_code(53, "TYPE_MISMATCH", "")
    assert isinstance(rejected, StoreRejected)
    assert rejected.blames_rows


def test_sentences_do_not_repeat_the_engine() -> None:
    """ClickHouse quotes values in its messages; our sentence holds code and name only."""
    error = from_code(6, "CANNOT_PARSE_TEXT", "Cannot parse 'my secret'")
    assert "secret" not in f"{error}{error.sentence}"
    assert error.sentence == "ClickHouse refused: CANNOT_PARSE_TEXT (6)"
