"""ClickHouse's own error codes, as its HTTP interface reports them."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"Code: (\d+)\.")
#: HTTP statuses as ClickHouse's `exceptionCodeToHTTPStatus` gives them; every other code is a 500.
_STATUSES: Final = {
    400: {6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 125, 126, 167, 168, 223, 321, 376, 427, 441, 675, 676},
    401: {194},
    403: {192, 193, 497, 512, 516},
    404: {46, 47, 50, 56, 60, 63, 73, 78, 81, 99, 115, 336, 511},
    408: {159},
    501: {48},
    503: {76, 209, 439},
}
_STATUS_OF: Final = {code: status for status, codes in _STATUSES.items() for code in codes}


class Fault(Exception):
    """A refusal in ClickHouse's words.

    Attributes:
        code: ClickHouse's error code.
        name: ClickHouse's name of it.
        text: the body of the answer. It may quote the asker's SQL: send it to the asker, never log it.
        status: the HTTP status a ClickHouse server answers with.
    """

    def __init__(self, code: int, name: str, sentence: str, *, status: int = 0) -> None:
        self.code = code
        self.name = name
        self.text = f"Code: {code}. DB::Exception: {sentence}. ({name})\n"
        self.status = status or _STATUS_OF.get(code, 500)
        super().__init__(f"{name} ({code})")

    @classmethod
    def of_engine(cls, message: str) -> Fault:
        """What the engine said; 1002 (UNKNOWN_EXCEPTION) when it gave no code."""
        found = _CODE.search(message)
        fault = cls(int(found[1]) if found else 1002, "UNKNOWN_EXCEPTION", "the engine failed without a code")
        if found:
            fault.text = message[found.start() :].strip() + "\n"
        return fault
