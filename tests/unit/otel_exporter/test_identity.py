"""Keys, the key file, the keyring, the tenants of a directory, limits."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_exporter.failures import Reason, Refused, RetryLater
from otel_exporter.identity import Directory, Key, Keyring, Scope, directory, keyfile
from otel_exporter.identity.keyfile import KeysUnreadable
from otel_exporter.identity.keys import minted, parts
from otel_exporter.identity.quotas import Limit, Quotas

NOW = datetime(2026, 3, 1, tzinfo=UTC)
INGEST, QUERY, METRICS = Scope.INGEST, Scope.QUERY, Scope.METRICS
WHENEVER = st.datetimes(timezones=st.just(UTC))


def kept(path: Path, *keys: Key) -> None:
    """Write these keys instead of what is there."""
    keyfile.change(path, lambda _: keys)


def soon(holds: Callable[[], object]) -> None:
    """Wait until ``holds``: the file is looked at about once a second."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never holds"
        time.sleep(0.05)


def test_a_key_opens_for_its_scopes_while_it_lives(tmp_path: Path) -> None:
    """The text opens with each scope it has and no other; a changed text, a revoked and an expired key open nothing."""
    path = tmp_path / "keys.json"
    good, text = minted("acme", {INGEST, QUERY}, NOW)
    ended, old = minted("acme", {INGEST}, NOW, expires_at=NOW + timedelta(hours=1))
    revoked, back = minted("acme", {INGEST}, NOW)
    kept(path, good, ended, Key(**{**vars(revoked), "revoked_at": NOW}))
    ring = Keyring(path, now=lambda: NOW + timedelta(hours=1))
    assert {scope: ring.known(text, scope) for scope in Scope} == {INGEST: good, QUERY: good, METRICS: None}
    for wrong in (text[:-1], text + "x", text.upper(), f"tt_{good.id}_", f"tt__{text}", "", good.hash, old, back):
        assert ring.known(wrong, INGEST) is None
    assert ring.tenants(INGEST) == {"acme"} and not ring.tenants(METRICS)
    assert Keyring(path, now=lambda: NOW).known(old, INGEST) == ended


@given(st.text(alphabet=st.characters(), max_size=80))
def test_no_text_is_a_mistake(text: str) -> None:
    """Whatever is presented is answered with yes or no, never with an exception; lone surrogates too."""
    key, _ = minted("a", {INGEST}, NOW)
    parts(text)
    assert not key.opens_with(text)


@given(
    st.lists(
        st.builds(
            lambda scopes, created, expires, revoked, name: Key(
                **{**vars(minted("t", scopes, created, expires, name)[0]), "revoked_at": revoked}
            ),
            st.sets(st.sampled_from(Scope), min_size=1), WHENEVER, st.none() | WHENEVER, st.none() | WHENEVER,
            st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_what_is_kept_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, keys: list[Key]) -> None:
    """Every key comes back from the file as it was."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    kept(path, *keys)
    assert keyfile.read(path) == tuple(keys)


def test_the_file_holds_no_secret_and_is_its_owners(tmp_path: Path) -> None:
    """Neither the file nor the key's repr has the secret or, in the repr, its hash; nobody else can read the file."""
    path = tmp_path / "deep" / "keys.json"
    key, text = minted("acme", {QUERY}, NOW)
    kept(path, key)
    said = parts(text)
    assert said is not None
    assert said[1] not in path.read_text() and said[1] not in repr(key) and key.hash not in repr(key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(said[1]) >= 43  # 256 bits


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    """Keys made by several at the same time are all in the file."""
    path = tmp_path / "keys.json"
    made = [minted("t", {INGEST}, NOW)[0] for _ in range(16)]
    threads = [threading.Thread(target=keyfile.change, args=(path, lambda old, one=one: [*old, one])) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.id for key in keyfile.read(path) or ()} == {key.id for key in made}


def test_a_running_keyring_notices_changes_and_never_opens(tmp_path: Path) -> None:
    """New keys work and revoked ones stop within seconds; garbage changes nothing; losing the file opens no door."""
    path = tmp_path / "keys.json"
    ring = Keyring(path)
    assert not ring.asked
    key, text = minted("acme", {INGEST}, NOW)
    kept(path, key)
    soon(lambda: ring.asked and ring.known(text, INGEST))
    path.write_text("garbage")
    time.sleep(1.2)  # one look
    assert ring.known(text, INGEST) == key
    kept_again = json.dumps({"version": 1, "keys": []})
    path.write_text(kept_again)
    soon(lambda: ring.known(text, INGEST) is None)
    path.unlink()
    time.sleep(1.2)
    assert ring.asked and ring.known(text, INGEST) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{"id": 1}]}', '{"version": 1}']
)
def test_an_unreadable_file_stops_the_start(tmp_path: Path, text: str) -> None:
    """What is no key file is said in a sentence that names it, and is never overwritten."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysUnreadable, match=r"keys\.json cannot be read"):
        Keyring(path)
    with pytest.raises(KeysUnreadable):
        kept(path)
    assert path.read_text() == text


def test_a_reader_and_another_writer_never_share_a_directory(tmp_path: Path) -> None:
    """Whoever comes first: once B wrote, A's key reads nothing; once A has a key to read, B writes nothing."""
    path = tmp_path / "keys.json"
    place = Directory(tmp_path, Keyring(path), set)
    place.admit("a")
    place.check_reader("a")
    with pytest.raises(Refused) as refused:
        place.check_reader("b")
    assert refused.value.reason is Reason.FORBIDDEN
    kept(path, minted("a", {QUERY}, NOW)[0])
    place = Directory(tmp_path, Keyring(path), lambda: pytest.fail("it is on record"))
    place.admit("a")
    with pytest.raises(Refused, match="belongs to another tenant"):
        place.admit("b")
    assert directory.written(tmp_path) == {"a"}
    kept(path)
    place = Directory(tmp_path, Keyring(path), set)
    place.admit("b")
    with pytest.raises(Refused, match="other tenants"):
        place.check_reader("a")


def test_own_metrics_are_nobodys(tmp_path: Path) -> None:
    """What the service writes about itself neither needs leave nor counts as another tenant."""
    path = tmp_path / "keys.json"
    kept(path, minted("a", {QUERY}, NOW)[0])
    place = Directory(tmp_path, Keyring(path), set)
    place.admit("a")
    place.admit("")
    place.check_reader("a")
    assert directory.written(tmp_path) == {"a"}


def test_a_directory_without_record_is_searched(tmp_path: Path) -> None:
    """Where nothing is on record, what is found counts, and is on record from then on."""
    place = Directory(tmp_path, Keyring(tmp_path / "keys.json"), lambda: ["x", "y"])
    with pytest.raises(Refused):
        place.check_reader("x")
    assert directory.written(tmp_path) == {"x", "y"}


@pytest.mark.parametrize(
    ("scopes", "live", "written", "fine"),
    [
        ({QUERY}, [], [], True),
        ({QUERY}, [], ["a"], True),
        ({QUERY}, [], ["a", "b"], False),
        ({QUERY}, [("b", INGEST)], [], False),
        ({QUERY}, [("b", METRICS)], [], True),
        ({QUERY}, [("a", QUERY), ("a", INGEST)], ["a"], True),
        ({INGEST}, [("b", INGEST)], ["b"], True),
        ({INGEST}, [("b", QUERY)], [], False),
        ({METRICS}, [("b", QUERY)], ["b"], True),
    ],
)
def test_a_key_that_could_not_be_used_is_not_made(
    scopes: set[Scope], live: list[tuple[str, Scope]], written: list[str], fine: bool
) -> None:
    """A key of tenant a that reads goes with no other tenant; keys that only write go with each other."""
    keys = [minted(tenant, {scope}, NOW)[0] for tenant, scope in live]
    if fine:
        directory.check_key("a", scopes, keys, written)
    else:
        with pytest.raises(Refused, match="used by b"):
            directory.check_key("a", scopes, keys, written)


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5_000)), min_size=1, max_size=200),
    st.floats(0.5, 50),
    st.integers(1, 5_000),
)
def test_the_mean_never_exceeds_the_limits(arrivals: list[tuple[float, int]], requests: float, volume: int) -> None:
    """Whatever comes when: admitted requests and bytes stay within rate times time, plus one bucket, plus one body."""
    now = [0.0]
    quotas = Quotas([Limit("t", requests, volume)], clock=lambda: now[0])
    count = total = 0
    largest = max(size for _, size in arrivals)
    for pause, size in arrivals:
        now[0] += pause
        try:
            quotas.enter("t")
        except RetryLater as later:
            assert later.reason is Reason.RATE_LIMITED and 0 < later.delay <= 60
            continue
        quotas.spend("t", size)
        count, total = count + 1, total + size
        assert count <= max(requests, 1) + requests * now[0] + 1e-6
        assert total <= max(volume, 1) + volume * now[0] + largest + 1e-6


def test_who_waits_as_told_gets_in() -> None:
    """After the delay it was told, a request is admitted; other tenants never wait for it."""
    now = [0.0]
    quotas = Quotas([Limit("t", requests_per_second=2.0), Limit(None, bytes_per_second=10)], clock=lambda: now[0])
    quotas.enter("t")
    quotas.enter("t")
    with pytest.raises(RetryLater) as later:
        quotas.enter("t")
    for other in ("b", "c"):
        quotas.enter(other)
        quotas.spend(other, 30)
        with pytest.raises(RetryLater, match="10 bytes a second"):
            quotas.enter(other)
    now[0] += later.value.delay + 1e-9
    quotas.enter("t")


def test_a_body_has_its_tenants_bound() -> None:
    """Only the tenant with a smaller bound is refused."""
    quotas = Quotas([Limit("small", max_body_bytes=10)])
    quotas.check_body("small", 10)
    quotas.check_body("other", 11)
    with pytest.raises(Refused, match="10 bytes this tenant") as refused:
        quotas.check_body("small", 11)
    assert refused.value.reason is Reason.TOO_LARGE
