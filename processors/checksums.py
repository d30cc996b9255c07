"""Checks that a pattern cannot make: is this number really a card, a bank account, a public address?

Each function says how many leading characters of a text are the real thing; 0 means none.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

#: Digits of a card number by issuer prefix: (lowest, highest prefix of four digits) -> possible lengths.
_ISSUERS: Final = (
    (2221, 2720, (16,)),  # Mastercard
    (3000, 3059, (14, 16)),  # Diners
    (3400, 3499, (15,)),  # American Express
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (3600, 3699, (14, 16)),  # Diners
    (3700, 3799, (15,)),  # American Express
    (3800, 3999, (14, 16)),  # Diners
    (4000, 4999, (13, 16, 19)),  # Visa
    (5000, 5099, (16, 17, 18, 19)),  # Maestro
    (5100, 5599, (16,)),  # Mastercard
    (5600, 6999, (16, 17, 18, 19)),  # Maestro, Discover, UnionPay
)
#: Length of an IBAN by country (SWIFT registry).
_IBAN_LENGTHS: Final = {
    15: "NO", 16: "BE BI", 18: "DK FO FI GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
    21: "CH CR HR LI LV", 22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL OM SO",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BJ DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH_OF: Final = {country: length for length, names in _IBAN_LENGTHS.items() for country in names.split()}
#: Addresses of the public IPv6 internet (2000::/3); the rest of what parses is more likely code than an address.
_GLOBAL_UNICAST: Final = (0x20, 0x3F)


def card(text: str) -> int:
    """A payment card number: known issuer, its length, Luhn checksum."""
    digits = text.replace(" ", "").replace("-", "")
    issuer = int(digits[:4])
    known = any(low <= issuer <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    return len(text) if known and _luhn(digits) else 0


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0


def iban(text: str) -> int:
    """A bank account number: its country's length, ISO 7064 checksum. Words behind it do not count."""
    length, end, compact = _LENGTH_OF.get(text[:2], 0), 0, ""
    while end < len(text) and len(compact) < length:
        compact += text[end].strip()
        end += 1
    if not length or len(compact) < length or text[end : end + 1].isalnum():
        return 0
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return end if int(number) % 97 == 1 else 0


def public_address(text: str) -> int:
    """An address of the public internet; private, loopback, documentation and multicast ones tell nothing."""
    try:
        address = ip_address(text)
    except ValueError:
        return 0
    if isinstance(address, IPv6Address) and not _GLOBAL_UNICAST[0] <= address.packed[0] <= _GLOBAL_UNICAST[1]:
        return 0
    return len(text) if address.is_global else 0
