"""What can go wrong with the store, in two words: it is not there now, or it will never take this.

ClickHouse's own messages quote SQL and values (`Cannot parse string 'my secret'`), so the sentences here are ours and
hold only the error's code and name. What ClickHouse said is kept in `detail`, for the eyes of whoever typed the SQL.
"""

from __future__ import annotations

from typing import Final


class StoreError(Exception):
    """A failure of the store.

    Attributes:
        code: ClickHouse's error code; 0 when the failure never reached ClickHouse (network, files).
        sentence: what went wrong, without any value, credential or SQL text: safe to log.
        detail: ClickHouse's own words. They may quote SQL and values: show them to whoever typed the SQL, never log.
    """

    def __init__(self, code: int, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.detail = detail


class StoreUnavailable(StoreError):
    """Nothing is wrong with what was asked: ask again, unchanged, later."""


class StoreRejected(StoreError):
    """The same statement with the same rows will fail again.

    Attributes:
        blames_rows: values are at fault, so other rows of the same file may be fine and bisecting it can find them.
            False means that the statement, the schema or the rights are wrong: every row would fail.
    """

    def __init__(self, code: int, sentence: str, detail: str = "", *, blames_rows: bool = False) -> None:
        super().__init__(code, sentence, detail)
        self.blames_rows = blames_rows


class StoreLocked(StoreError):
    """The data directory belongs to another process (or to another open store of this one)."""

    def __init__(self, sentence: str) -> None:
        super().__init__(0, sentence)


#: Codes that pass by themselves or by an operator's hand, without a change to the rows: offer the same file again.
TRANSIENT: Final[dict[int, str]] = {
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    164: "READONLY",
    173: "CANNOT_ALLOCATE_MEMORY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    198: "DNS_ERROR",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    204: "CANNOT_FSYNC",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    244: "UNEXPECTED_ZOOKEEPER_ERROR",
    252: "TOO_MANY_PARTS",  # also raised for too many partitions in one insert: freeze splits by partition
    254: "NO_ACTIVE_REPLICAS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    319: "UNKNOWN_STATUS_OF_INSERT",
    373: "SESSION_IS_LOCKED",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    497: "ACCESS_DENIED",
    499: "S3_ERROR",
    516: "AUTHENTICATION_FAILED",
    999: "KEEPER_EXCEPTION",
}

#: Codes that blame values: some rows of the file are poisonous, the others may be fine.
ROWS: Final[dict[int, str]] = {
    6: "CANNOT_PARSE_TEXT",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    33: "CANNOT_READ_ALL_DATA",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    407: "DECIMAL_OVERFLOW",
    469: "VIOLATED_CONSTRAINT",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    1001: "STD_EXCEPTION",
    1002: "UNKNOWN_EXCEPTION",
}


def from_code(code: int | None, name: str | None, detail: str) -> StoreError:
    """The failure ClickHouse reported under ``code``; no code means that ClickHouse was not reached."""
    if not code:
        return StoreUnavailable(0, "ClickHouse cannot be reached", detail)
    known = TRANSIENT.get(code) or ROWS.get(code) or name or "error"
    if code in TRANSIENT:
        return StoreUnavailable(code, f"ClickHouse cannot do this now: {known} ({code})", detail)
    return StoreRejected(code, f"ClickHouse refused: {known} ({code})", detail, blames_rows=code in ROWS)
