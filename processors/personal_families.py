"""Personal data: addresses and numbers of people. Where it is looked for, `Reach` says."""

from __future__ import annotations

from typing import Final

from processors.checksums import card, iban, public_address
from processors.family import ESCAPE, Family, Reach

_EDGE: Final = rf"(?P<pre>\b|{ESCAPE})"

PERSONAL: Final[tuple[Family, ...]] = (
    Family(
        name="email",
        meaning="e-mail address",
        pattern=rf"(?P<pre>{ESCAPE})?[^ \t\r\n@<>()\[\]{{}}\"'`,;:\\/=|&?#\x00]+"
        r"@(?:[^ \t\r\n@<>()\[\]{}\"'`,;:\\/=|&?#.\x00]+\.)+[A-Za-z]{2,24}",
        reach=Reach.METADATA,
        hint="@",
        redacts={
            "mail jane.doe+x@example.co.uk, please": "mail [REDACTED:email], please",
            r"hi\njürgen@example.de": r"hi\n[REDACTED:email]",
            '{"to":"a@b.org"}': '{"to":"[REDACTED:email]"}',
        },
        leaves=("@app.route", "text-embedding@001", "user@host", "claude-3-5-sonnet@20240620"),
    ),
    Family(
        name="phone",
        meaning="telephone number, international or North American notation",
        pattern=rf"(?P<pre>^|[^0-9A-Za-z.+-]|{ESCAPE})"
        r"(?:\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}|\(?[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}\b)",
        reach=Reach.FREE_TEXT,
        hint=r"\+[1-9]|[ .-][2-9][0-9]{2}[ .-][0-9]{4}",
        redacts={
            "call +49 30 901820-0 now": "call [REDACTED:phone] now",
            "(212) 555-0123": "[REDACTED:phone]",
            r"\n+14155550123": r"\n[REDACTED:phone]",
        },
        leaves=("2026-11-21T01:20:00.000+01:00", "1795224313", "1e+10", "+5 points", "10.212.555.0123"),
    ),
    Family(
        name="card",
        meaning="payment card number (issuer prefix, Luhn checksum)",
        pattern=_EDGE
        + r"(?:[3-6][0-9]{3}|2[2-7][0-9]{2})(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}\b|"
        + r"\b3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}\b",
        reach=Reach.FREE_TEXT,
        hint=r"[2-6][0-9]{3}[ -]?[0-9]{4}",
        valid=card,
        nested=True,
        redacts={"pay 4111 1111 1111 1111 ok": "pay [REDACTED:card] ok", "378282246310005": "[REDACTED:card]"},
        leaves=("4111111111111112", "17952243131234567", "5a4111111111111111"),
    ),
    Family(
        name="iban",
        meaning="bank account number (country, length, checksum)",
        pattern=_EDGE + r"[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]){11,30}\b",
        reach=Reach.FREE_TEXT,
        hint=r"[A-Z]{2}[0-9]{2}[ ]?[A-Z0-9]{4}",
        valid=iban,
        nested=True,
        redacts={"to DE89 3704 0044 0532 0130 00.": "to [REDACTED:iban]."},
        leaves=("DE89370400440532013001", "AB12CDEF34567890"),
    ),
    Family(
        name="ip_address",
        meaning="public IPv4 address (private, loopback and reserved ones stay)",
        pattern=rf"(?:(?P<pre>{ESCAPE})|[A-Za-z]/|\b)(?:[0-9]{{1,3}}\.){{3,}}[0-9]{{1,3}}\b",
        reach=Reach.FREE_TEXT,
        hint=r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        valid=public_address,
        redacts={"from 8.8.8.8:443": "from [REDACTED:ip_address]:443", r"\n8.8.4.4": r"\n[REDACTED:ip_address]"},
        leaves=("http://127.0.0.1:8901/v1", "10.1.2.3", "Chrome/120.0.0.0", "1.2.3.4.5", "v1.2.3.4"),
    ),
    Family(
        name="ipv6_address",
        meaning="public IPv6 address",
        pattern=r"\b(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6})\b",
        reach=Reach.FREE_TEXT,
        hint=r"[0-9a-fA-F]:[0-9a-fA-F]{0,4}:[0-9a-fA-F]",
        valid=public_address,
        redacts={"to 2a00:1450:4001:81b::200e.": "to [REDACTED:ipv6_address]."},
        leaves=("std::fmt", "12:34:56", "add::bad", "::1", "fe80::1"),
    ),
)
