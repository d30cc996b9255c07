"""JSON and SQL taken to tokens, and tokens changed."""

from __future__ import annotations

import re
from random import Random

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[A-Za-z]+|[{}\[\],:]|\s+|.', re.DOTALL)
_VALUES = (b"null", b"true", b"false", b"{}", b"[]", b"0", b"-0", b"-1", b"1e400", b"1.5", b"NaN", b"-Infinity", b'"NaN"', b'"Infinity"', b'""',
           b'"9223372036854775808"', b'"-9223372036854775808"', b"18446744073709551615", b"18446744073709551616", b'" 1"', b'"1_0"',
           b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\\u0000"', b'"zz"', b'"AA="', b'"-_"', b"9" * 5000, b"[" * 3000, b'{"a":' * 3000,
           b'{"arrayValue":{"values":[' * 60, b'"\xd9\xa3"', b"1E3", b"4e0", b'"1e3"', b"[[[]]]", b'{"stringValue":1}', b'"SPAN_KIND_SERVER"')  # fmt: skip
_NAMES = (b'"resourceSpans"', b'"resource_spans"', b'"scopeSpans"', b'"spans"', b'"attributes"', b'"value"', b'"intValue"', b'"int_value"',
          b'"stringValue"', b'"bytesValue"', b'"doubleValue"', b'"arrayValue"', b'"kvlistValue"', b'"values"', b'"key"', b'"traceId"', b'"kind"',
          b'"resourceLogs"', b'"resourceMetrics"', b'"logRecords"', b'"dataPoints"', b'"gauge"', b'"sum"', b'"status"', b'""', b'"__proto__"')  # fmt: skip


def mutated(random: Random, body: bytes, other: bytes) -> bytes:
    """One mutation among the tokens of a JSON text."""
    tokens = _TOKEN.findall(body)
    if not tokens:
        return random.choice(_VALUES)
    place = random.randrange(len(tokens))
    match random.randrange(9):
        case 0 | 1:
            tokens[place] = random.choice(_VALUES)
        case 2:
            tokens[place] = random.choice(_NAMES)
        case 3:
            del tokens[place : place + random.choice((1, 1, 2, 5))]
        case 4:
            tokens.insert(place, random.choice((b",", b":", b"{", b"}", b"[", b"]", b'"', *_VALUES)))
        case 5:
            swap = random.randrange(len(tokens))
            tokens[place], tokens[swap] = tokens[swap], tokens[place]
        case 6:
            end = min(len(tokens), place + random.choice((2, 4, 8, 30)))
            tokens[place:place] = [*tokens[place:end], b","]
        case 7:
            theirs = _TOKEN.findall(other)
            start = random.randrange(len(theirs) + 1)
            tokens[place:place] = theirs[start : start + random.choice((1, 4, 20))]
        case _:
            return b"".join(tokens[: place + 1])
    return b"".join(tokens)
