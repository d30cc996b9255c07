"""The kinds of values a configuration holds beyond plain text and numbers: secrets, addresses, sizes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

MASK: Final = "***"
_UNITS: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE: Final = re.compile(r"\s*(\d+)\s*([KMGT]i?B?|B?)\s*", re.IGNORECASE)
#: Dumped settings hold what `str` prints, never the secret.
_PRINTED: Final = core_schema.to_string_ser_schema()


class Secret:
    """A text that prints as ``***``; only `reveal` gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself: for the wire and for comparing, never for a log, a table or an error."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Made from non-empty text (pydantic's protocol)."""
        return core_schema.no_info_plain_validator_function(cls._accept, serialization=_PRINTED)

    @classmethod
    def _accept(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not value:
            raise ValueError("must be text that is not empty (a number needs quotes)")
        return cls(value)


class ServerUrl:
    """The http(s) address of a ClickHouse server; prints without its password."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        if not _is_web_address(url):
            raise ValueError("must be an address such as http://clickhouse:8123")
        self._url = url

    def reveal(self, password: Secret | None = None) -> str:
        """The whole address; ``password`` fills in the one the address does not carry."""
        parts = urlsplit(self._url)
        if password is None or parts.password is not None:
            return self._url
        login = f"{parts.username or 'default'}:{quote(password.reveal(), safe='')}"
        return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()

    def __repr__(self) -> str:
        parts = urlsplit(self._url)
        login, at, host = parts.netloc.rpartition("@")
        user, colon, _ = login.partition(":")
        return parts._replace(netloc=f"{user}{colon}{MASK if colon else ''}{at}{host}", query="", fragment="").geturl()

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerUrl) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Made from text (pydantic's protocol)."""
        text = core_schema.str_schema()
        return core_schema.no_info_after_validator_function(cls, text, serialization=_PRINTED)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # an unreadable port raises here, with a text that may quote a password
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.path.strip("/") or parts.query)


class SizeMark:
    """Marks an integer as a number of bytes, so that it can be written and shown as ``64 MiB``."""


def size(value: object) -> object:
    """Bytes from ``67108864``, ``"64MiB"``, ``"64 MB"`` or ``"64m"`` (every unit is a power of 1024).

    Raises:
        ValueError: text that is no size.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError("must be a size such as 67108864 or 64 MiB")
    unit = match[2].upper()
    return int(match[1]) * _UNITS[f"{unit[0]}iB" if unit not in ("", "B") else unit]


def size_text(count: int) -> str:
    """Bytes as people write them, exact: ``64 MiB``, else the plain number."""
    for unit, factor in reversed(_UNITS.items()):
        if factor > 1 and count and count % factor == 0:
            return f"{count // factor} {unit}"
    return str(count)


Size = Annotated[int, BeforeValidator(size), Field(gt=0), SizeMark()]
Port = Annotated[int, Field(ge=0, le=65535)]
Tenant = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def web_address(value: object) -> object:
    """An http(s) address, possibly with a path; it holds no credential, so it may be shown.

    Raises:
        ValueError: it is none; the message does not repeat it (it may hold a password).
    """
    if not isinstance(value, str) or not _WEB_ADDRESS.fullmatch(value):
        raise ValueError("must be an address such as https://alertmanager:9093, without name and password in it")
    return value


_WEB_ADDRESS: Final = re.compile(r"https?://[^/@?#\s]+(/[^@?#\s]*)?")
WebAddress = Annotated[str, BeforeValidator(web_address)]
