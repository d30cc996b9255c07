"""Secrets and personal data: the families, the search, the processor."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_exporter.decode import Decoder
from otel_exporter.identity.keys import Scope, minted
from processors.batch import Signal
from processors.families import PERSONAL, SECRETS, Family, Reach
from processors.normalise import Normalise
from processors.redact import Identity, RedactProcessor
from processors.scrub import Scrubber, rust
from tests.corpus.cases import DATA
from tests.laws.batches import PIECES, TEXT
from tests.unit.processors.planting import attribute, batch_with, places, planted, value_of

ALL: Final = SECRETS + PERSONAL
KEY: Final = b"a key of at least sixteen bytes"
SCRUB: Final = Scrubber(ALL)
OPENAI: Final = "sk-" + "proj-abcDEF0123456789_-abcDEF0123"
AWS: Final = "AKIA" + "IOSFODNN7EXAMPLE"
BEARER: Final = "Bearer abcdefghijklmnopqrstuvwxyz012345"
each_family = pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)


def cleaned(*texts: str) -> list[str]:
    """What the search makes of texts."""
    return SCRUB(pl.Series(texts, dtype=pl.String)).to_list()


@each_family
def test_examples(family: Family) -> None:
    """Every example of a family becomes what it says, its look-alikes stay, and both stay so."""
    assert cleaned(*family.examples) == list(family.examples.values())
    assert cleaned(*family.leaves) == list(family.leaves)
    assert cleaned(*family.examples.values()) == list(family.examples.values())


@each_family
def test_inside_json(family: Family) -> None:
    """A family is found in JSON, in JSON inside JSON and in Python's spelling of it, and what was JSON stays JSON."""
    for text in family.examples:
        (message,) = cleaned(json.dumps({"m": f"first\n{text}\nlast"}))
        (nested,) = cleaned(json.dumps({"m": json.dumps({"x": f"first\n{text}"})}))
        (spelled,) = cleaned(repr({"m": f"first\n{text}"}))
        assert all("[REDACTED:" in found for found in (message, nested, spelled)), text
        assert json.loads(message)["m"].startswith("first\n")
        assert json.loads(nested)


@each_family
def test_nothing_hides_from_the_quick_search(family: Family) -> None:
    """Whatever a family's pattern matches, the quick search for literals and hints leads to it."""
    alone = Scrubber([family])
    texts = [*PIECES, *(f"{left}{right}" for left in PIECES[:40] for right in PIECES[:40])]
    for text, matches in zip(texts, pl.Series(texts).str.contains(rust(family.pattern)), strict=True):
        assert bool(alone.found([pl.Series(["", text, "x"])])) == matches, text


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_each_text_alone(texts: list[str]) -> None:
    """A text becomes the same alone and among others, and stays as it became."""
    together = cleaned(*texts)
    assert together == [one for text in texts for one in cleaned(text)]
    assert cleaned(*together) == together


def test_hostile_texts() -> None:
    """A text made to be slow is not: the time grows with the length only."""
    pieces = [
        *PIECES,
        "-----BEGIN PRIVATE KEY-----(",
        "eyJ",
        "sk-",
        "password=",
        "a@",
        "://a:",
        "4111 ",
        "1.",
        "a:",
        "\\",
    ]
    for piece in filter(None, pieces):
        before = perf_counter()
        cleaned(piece * (100_000 // len(piece)))
        assert perf_counter() - before < 5, piece


@pytest.mark.parametrize(
    "text",
    [
        "chatcmpl-90b0e3e9a09a42eaaf86453e",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
        "resp_881aa9bd01ac4c22838111324fab53ad",
        "2ab06cfadcdcc1bb1a1ff9edefb028084a837b3ed7b95f97e602b960ee127471",
        "533f60de-77ae-43b1-a1d2-72fb52bca00e",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "claude-sonnet-4-5-20250929",
        "anthropic/claude-3-5-sonnet@20240620",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude",
        "call_b1c2a7f82a194dd1b04d",
        "fp_44709d6fcb",
        "1795224313",
        "1795224313000000000",
        "2026-11-21T01:38:13.000Z",
        "https://api.openai.com/v1/chat/completions",
        "{'completion_tokens': 14, 'prompt_tokens': 1821, 'total_tokens': 1835, 'cache_read_input_tokens': 1500}",
        '{"cache_key": null, "api_base": "http://10.0.0.5:8901/v1", "x-ratelimit-remaining-tokens": 149999}',
        "OpenAI/Python 2.54.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
    ],
)
def test_look_alikes(text: str) -> None:
    """Ids, hashes, models, times, counts and addresses of machines are nobody's secret."""
    assert cleaned(text) == [text]


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.pb")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_exports(path: Path) -> None:
    """Real exports of released libraries, which hold no secret, are left as they are."""
    signal = Signal(path.name.split(".")[-2])
    batch = Decoder(None).decode(signal, [path.read_bytes()], "t")
    batch = Normalise()(batch) if signal is not Signal.METRICS else batch
    after = RedactProcessor()(batch)
    assert after.attributes.equals(batch.attributes)
    assert after.records.equals(batch.records)
    assert after.observations.equals(batch.observations)


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("secret", [OPENAI, AWS, BEARER], ids=["openai", "aws", "bearer"])
def test_secrets_are_nowhere(signal: Signal, secret: str) -> None:
    """A secret planted in every place of every signal is in none of them afterwards."""
    batch = planted(signal, secret)
    assert len(places(batch, secret)) > 20
    assert places(RedactProcessor()(batch), secret) == []


@pytest.mark.parametrize("family", SECRETS, ids=lambda family: family.name)
def test_every_family_everywhere(family: Family) -> None:
    """An example of every family of secrets leaves resource, span, event and status."""
    text = next(iter(family.examples))
    levels = [attribute("note", text, level=level) for level in ("resource", "scope", "record", "event")]
    after = RedactProcessor()(batch_with(*levels, status=text, event="e"))
    (expected,) = Scrubber(SECRETS)(pl.Series([text]))
    assert set(after.attributes["value"]) == {expected}
    assert after.records["status_message"].to_list() == [expected]


def test_personal_data_leaves_metadata() -> None:
    """Personal data is taken out of free metadata, failures and log bodies, under any name."""
    mail, card = "jane.doe@example.org", "4111 1111 1111 1111"
    spans = batch_with(
        attribute("metadata.requester_metadata", f"{{'contact': '{mail}'}}"),
        attribute("exception.message", f"no such customer: {mail}, {card}", level="event"),
        attribute("order", card),
        status=f"refused {mail}",
        event="exception",
    )
    logs = batch_with(signal=Signal.LOGS, scope="my.app", body=("string", f"mail to {mail}"))
    for batch in (spans, logs):
        assert places(RedactProcessor()(batch), mail) == []
        assert places(RedactProcessor()(batch), card) == []


def test_personal_data_stays_where_it_is_meant() -> None:
    """People are named by identity attributes, payers by theirs; kept content is left to the content policy."""
    mail = "jane.doe@example.org"
    kept = (
        "user.email",
        "metadata.user_api_key_user_email",
        "metadata.user_api_key_alias",
        "gen_ai.user",
        "enduser.id",
    )
    batch = batch_with(*(attribute(key, mail) for key in (*kept, "gen_ai.input.messages", "service.name", "any")))
    after = RedactProcessor()(batch)
    assert {key: value_of(after, key) for key in (*kept, "gen_ai.input.messages")} == dict.fromkeys(
        (*kept, "gen_ai.input.messages"), mail
    )
    assert value_of(after, "service.name") == value_of(after, "any") == "[REDACTED:email]"


def test_numbers_of_machines_stay() -> None:
    """What looks like a telephone number or an address in a technical attribute is none."""
    machine = {"server.address": "8.8.8.8", "gen_ai.response.id": "4111111111111111", "service.version": "1.20.3.4"}
    batch = batch_with(*(attribute(key, value) for key, value in machine.items()), attribute("note", "8.8.8.8"))
    after = RedactProcessor()(batch)
    assert {key: value_of(after, key) for key in machine} == machine
    assert value_of(after, "note") == "[REDACTED:ip_address]"


@pytest.mark.parametrize(
    "key",
    ["authorization", "http.request.header.x-api-key", "http.request.header.cookie.0", "db.password", "openai_api_key",
     "metadata.user_api_key", "litellm.master_key", "AWS_SECRET_ACCESS_KEY", "client_secret", "refreshToken"],
)  # fmt: skip
def test_names_of_secrets(key: str) -> None:
    """An attribute whose name says it is a secret loses its whole value, whatever it looks like."""
    after = RedactProcessor()(batch_with(attribute(key, "12", kind="int"), attribute("ok", "12", kind="int")))
    assert after.attributes.select("type", "value").rows() == [("string", "[REDACTED:credential]"), ("int", "12")]


@pytest.mark.parametrize(
    "key",
    ["metadata.user_api_key_hash", "metadata.user_api_key_alias", "litellm.api_key.hash", "gen_ai.usage.input_tokens",
     "auth.header_attached", "auth_mode", "gen_ai.token.type", "metadata.used_client_oauth_token_seen", "token_type"],
)  # fmt: skip
def test_names_of_no_secret(key: str) -> None:
    """Hashes, names and counts of keys and tokens stay."""
    assert value_of(RedactProcessor()(batch_with(attribute(key, "payments"))), key) == "payments"


def test_bytes() -> None:
    """A secret inside bytes, which travel as base64, is found, and the rest of the bytes stays."""
    raw = b"\xff\x00" + OPENAI.encode() + b" tail\xfe"
    batch = batch_with(attribute("blob", base64.b64encode(raw).decode(), kind="bytes"))
    value = value_of(RedactProcessor()(batch), "blob")
    assert value is not None
    assert base64.b64decode(value) == b"\xff\x00[REDACTED:openai_key] tail\xfe"


def test_identifiers_do_not_merge() -> None:
    """A call whose id holds a secret loses the id: a marker there would make many calls one."""
    seen = RedactProcessor()(planted(Signal.TRACES, OPENAI)).observations
    assert seen.select("response_id", "call_id").row(0) == ("", "")
    assert seen["tags"].to_list() == [["a", "[REDACTED:openai_key]"]]


def test_pseudonyms() -> None:
    """With `hash` a person has one pseudonym in attributes and observations, which depends on the key."""
    batch = batch_with(attribute("user.email", "jane@example.org"), attribute("note", "x"))
    batch = batch.with_frames(observations=planted(Signal.TRACES, "jane@example.org").observations)
    after = RedactProcessor(Identity.HASH, KEY)(batch)
    pseudonym = value_of(after, "user.email")
    assert pseudonym is not None
    assert pseudonym.startswith("hmac-sha256:")
    assert after.observations.select("user_id", "end_user").row(0) == (pseudonym, pseudonym)
    assert value_of(after, "note") == "x"
    assert value_of(RedactProcessor(Identity.HASH, KEY[::-1])(batch), "user.email") != pseudonym


def test_pseudonyms_need_a_key() -> None:
    """Without a key the values behind pseudonyms could be tried out, so none are made."""
    with pytest.raises(ValueError, match="16 bytes"):
        RedactProcessor(Identity.HASH, b"short")


def test_documented() -> None:
    """The page on privacy names every family."""
    page = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text()
    assert [family.name for family in ALL if f"`{family.name}`" not in page] == []
    assert all(reach.value in page for reach in Reach)


@given(
    st.sampled_from(["", "Bearer ", "x-api-key: ", '{"k": "', "http://u:"]), st.sampled_from(["", '"}', "@db", " then"])
)
def test_our_own_keys_never_stay(before: str, after: str) -> None:
    """A key as `tokentide keys create` makes them is taken out, wherever it stands."""
    _, text = minted("search", [Scope.INGEST], datetime(2026, 1, 1, tzinfo=UTC))
    assert text.split("_", 2)[2] not in cleaned(before + text + after)[0]
