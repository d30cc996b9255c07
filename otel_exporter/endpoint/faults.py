"""ClickHouse's own error codes, as its HTTP interface reports them."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"Code: (\d+)\.")
_BAD_REQUEST: Final = frozenset({6, 26, 27, 33, 36, 38, 41, 53, 62, 70, 72, 117, 130, 456, 457, 471, 551})
_NOT_FOUND: Final = frozenset({46, 47, 60, 81, 115})
_STATUS: Final = {158: 413, 159: 408, 194: 401, 192: 403, 193: 403, 516: 403, 497: 403, 202: 503, 48: 501}


class Fault(Exception):
    """A refusal in ClickHouse's words.

    Attributes:
        code: ClickHouse's error code.
        text: the body of the answer. It may quote the asker's SQL: send it to the asker, never log it.
    """

    def __init__(self, code: int, name: str, sentence: str) -> None:
        self.code = code
        self.text = f"Code: {code}. DB::Exception: {sentence}. ({name})\n"
        super().__init__(f"{name} ({code})")

    @classmethod
    def of_engine(cls, message: str) -> Fault:
        """What the engine said; 1002 (UNKNOWN_EXCEPTION) when it gave no code."""
        found = _CODE.search(message)
        fault = cls(int(found[1]) if found else 1002, "UNKNOWN_EXCEPTION", "the engine failed without a code")
        if found:
            fault.text = message[found.start() :].strip() + "\n"
        return fault

    @property
    def status(self) -> int:
        """The HTTP status a ClickHouse server answers with for this code."""
        if self.code in _STATUS:
            return _STATUS[self.code]
        if self.code in _BAD_REQUEST:
            return 400
        return 404 if self.code in _NOT_FOUND else 500
