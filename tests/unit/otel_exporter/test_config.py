"""The configuration: precedence, faults, secrets."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from otel_exporter.config import ConfigFaults, Configuration, Flag, Secret, Settings, load
from otel_exporter.config.fields import leaves
from otel_exporter.config.show import differences, effective
from otel_exporter.config.tree import is_loopback
from otel_exporter.config.values import ServerUrl, size, size_text

WORD = "planted-s3cret"


def written(directory: Path, text: str) -> Path:
    """A configuration file."""
    file = directory / "tokentide.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults(file: Path | None = None, environment: dict[str, str] | None = None, *flags: Flag) -> dict[str, str]:
    """Path to reason of every fault."""
    with pytest.raises(ConfigFaults) as raised:
        load(file, environment, flags)
    return {fault.path: fault.reason for fault in raised.value.faults}


def test_defaults_are_valid_and_local() -> None:
    """Without any source every listener is local, content is dropped and nobody needs a token."""
    settings = load().settings
    assert settings == Settings()
    assert (settings.ingest.grpc.port, settings.ingest.http.port, settings.health.port) == (4317, 4318, 9464)
    assert settings.ingest.grpc.is_local and settings.ingest.http.is_local and settings.health.is_local
    assert settings.content.policy == "drop" and settings.ingest.credentials == {}


@pytest.mark.parametrize(
    ("environment", "flag", "port", "source"),
    [
        ({}, None, 1, "tokentide.yaml:3"),
        ({"TOKENTIDE_INGEST__GRPC__PORT": "2"}, None, 2, "TOKENTIDE_INGEST__GRPC__PORT"),
        ({"TOKENTIDE_INGEST__GRPC__PORT": "2"}, 3, 3, "--grpc-port"),
    ],
)
def test_precedence(tmp_path: Path, environment: dict[str, str], flag: int | None, port: int, source: str) -> None:
    """Flag wins over environment, environment over file, file over default; the winner's name is known."""
    file = written(tmp_path, "ingest:\n  grpc:\n    port: 1\n  tenant: mine\n")
    configuration = load(file, environment, [Flag("--grpc-port", "ingest.grpc.port", flag)])
    assert configuration.settings.ingest.grpc.port == port
    assert configuration.origin(("ingest", "grpc", "port")).endswith(source)
    assert configuration.settings.ingest.tenant == "mine"
    assert configuration.origin(("log", "level")) == "default"


def test_every_fault_at_once(tmp_path: Path) -> None:
    """Every mistake of every source is reported with path, place and reason, not only the first."""
    file = written(
        tmp_path,
        "ingest:\n  grpc: {prt: 4317, host: 0.0.0.0}\n  http:\n    port: 99999\nlog:\n  level: loud\nnonsense: 1\n",
    )
    with pytest.raises(ConfigFaults) as raised:
        load(file, {"TOKENTIDE_SPOOL__MAX_BYTES": "much", "TOKENTIDE_TYPO": "1"})
    found = {(fault.path, fault.origin.rpartition("/")[2]): fault.reason for fault in raised.value.faults}
    assert found == {
        ("ingest.grpc.prt", "tokentide.yaml:2"): "unknown key; did you mean port?",
        (
            "ingest.grpc.host",
            "tokentide.yaml:2",
        ): "0.0.0.0 is reachable from other machines and no ingest token is set: "
        "bind 127.0.0.1, make a key (tokentide keys create) or set ingest.insecure: true",
        ("ingest.http.port", "tokentide.yaml:4"): "must be at most 65535, not 99999",
        ("log.level", "tokentide.yaml:6"): "must be 'debug', 'info', 'warning' or 'error', not 'loud'",
        ("nonsense", "tokentide.yaml:7"): "unknown key",
        ("spool.max_bytes", "TOKENTIDE_SPOOL__MAX_BYTES"): "must be a size such as 67108864 or 64 MiB",
        ("typo", "TOKENTIDE_TYPO"): "unknown key",
    }


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("- a\n", "", "must be a mapping"),
        ("a: [\n", "", "is not YAML"),
        ("log: {level: info}\nlog: {level: debug}\n", "log", "appears twice"),
        ("ingest: 5\n", "ingest", "must be a section"),
        ("processors: {a: b}\n", "processors", "must be a list"),
        ("processors: [not-a-factory]\n", "processors.0", "must look like"),
        ("ingest: {keys: [{tenant: a}]}\n", "ingest.keys.0.token", "is required"),
        ("ingest: {keys: [{token: 12345}]}\n", "ingest.keys.0.token", "needs quotes"),
        ("ingest: {keys: [{token: a b}]}\n", "ingest.keys.0.token", "printable ASCII"),
        ("ingest: {token: x, keys: [{token: x, tenant: b}]}\n", "ingest.keys", "twice"),
        ("ingest: {tenant: 'a/b'}\n", "ingest.tenant", "must look like"),
        ("ingest: {insecure: perhaps}\n", "ingest.insecure", "true or false"),
        ("ingest: {max_body_bytes: 65 MiB}\n", "ingest.max_decompressed_bytes", "at least max_body_bytes"),
        ("health: {host: '::'}\n", "health.host", "no authentication"),
        ("content: {policy: hash}\n", "content.hash_key", "is required"),
        ("store: {clickhouse_url: 'ftp://x'}\n", "store.clickhouse_url", "must be an address"),
        ("store: {clickhouse_url: 'http://u:p/w@host'}\n", "store.clickhouse_url", "must be an address"),
        ("prices: {overrides: [{models: m, free: true}, {free: yess}]}\n", "prices.overrides.1.models", "at least one"),
        ("prices: {margins: [{percent: -1}]}\n", "prices.margins.0.percent", "a number from 0"),
        ("processors: &a [*a]\n", "", "aliases never end"),
        (f"processors: {'[' * 2000}{']' * 2000}\n", "", "too deeply"),
        (
            "prices: {overrides: [{models: m, free: true, from: 2026-13-45}]}\n",
            "prices.overrides.0.from",
            "put it in quotes",
        ),
        ("log: {level: !secret x}\n", "log.level", "put it in quotes"),
        ("log: {<<: 5}\n", "log", "can only merge"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, path: str, reason: str) -> None:
    """Each kind of mistake is named at the path where it is, in our words."""
    found = faults(written(tmp_path, text))
    assert reason in found[path]


def test_missing_file_is_a_fault(tmp_path: Path) -> None:
    """A file that is not there is a fault that names it, not an exception from the system."""
    assert "cannot be read" in faults(tmp_path / "none.yaml")[""]


def test_empty_file_and_empty_keys_mean_defaults(tmp_path: Path) -> None:
    """A key without a value, a section without keys and an empty file say nothing."""
    assert load(written(tmp_path, "store:\ncontent:\n  policy:\n")).settings == Settings()
    assert load(written(tmp_path, "")).settings == Settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_public_address_needs_a_token(host: str) -> None:
    """A listener that other machines reach is refused without a token, and allowed with one or with `insecure`."""
    public = [Flag("--host", "ingest.grpc.host", host)]
    assert list(faults(None, None, *public)) == ["ingest.grpc.host"]
    assert load(None, {"TOKENTIDE_INGEST__TOKEN": "t"}, public).settings.ingest.credentials == {"t": "default"}
    assert load(None, {"TOKENTIDE_INGEST__INSECURE": "true"}, public).settings.ingest.insecure


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True)])
def test_loopback(host: str, local: bool) -> None:
    """The names of this machine are local."""
    assert is_loopback(host) is local


def test_lists_from_the_environment() -> None:
    """A list is YAML or, for plain values, separated by commas; both replace the file's list."""
    keys = load(None, {"TOKENTIDE_INGEST__KEYS": "[{token: a, tenant: x}, {token: b}]"}).settings.ingest
    assert keys.credentials == {"a": "x", "b": "default"}
    assert load(None, {"TOKENTIDE_PROCESSORS": "a.b:c, d:e"}).settings.processors == ("a.b:c", "d:e")
    assert "must be YAML" in faults(None, {"TOKENTIDE_INGEST__KEYS": "[{", "TOKENTIDE_X": "1"})["ingest.keys"]


def test_secret_from_a_file(tmp_path: Path) -> None:
    """A secret is read from `<name>_file`, relative to the configuration file, without the line's end."""
    (tmp_path / "token").write_text(f"{WORD}\n")
    configuration = load(written(tmp_path, "ingest: {keys: [{token_file: token, tenant: a}]}\n"))
    assert configuration.settings.ingest.credentials == {WORD: "a"}
    assert configuration.settings.ingest.keys[0].token_file == tmp_path / "token"


def test_secret_said_twice(tmp_path: Path) -> None:
    """A secret and its file from one source contradict each other; from two, the stronger source wins."""
    (tmp_path / "key").write_text("from-file")
    file = written(tmp_path, "ingest: {token: x, token_file: key}\n")
    assert faults(file) == {"ingest.token_file": "cannot be said together with token"}
    file = written(tmp_path, "ingest: {token_file: key}\n")
    assert load(file, {"TOKENTIDE_INGEST__TOKEN": "from-env"}).settings.ingest.credentials == {"from-env": "default"}
    file = written(tmp_path, "ingest: {token: x}\n")
    environment = {"TOKENTIDE_INGEST__TOKEN_FILE": str(tmp_path / "key")}
    assert load(file, environment).settings.ingest.credentials == {"from-file": "default"}


@pytest.mark.parametrize("content", [None, "", b"\xff\xfe"])
def test_secret_file_that_cannot_be_read(tmp_path: Path, content: Any) -> None:
    """A missing, empty or binary secret file is one fault at `<name>_file` and causes no further ones."""
    secret = tmp_path / "key"
    if content is not None:
        secret.write_bytes(content or b"")
    file = written(tmp_path, f"ingest: {{token_file: {secret}, grpc: {{host: 0.0.0.0}}}}\n")
    assert list(faults(file)) == ["ingest.token_file"]


SECRETS = f"""
store: {{clickhouse_url: 'http://u:{WORD}@h:8123', clickhouse_password: {WORD}}}
ingest: {{token: {WORD}, keys: [{{token: x{WORD}}}]}}
content: {{policy: hash, hash_key: {WORD}}}
"""


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    """No representation of the settings, their rows or their JSON shows a secret; `***` stands for it."""
    configuration = load(written(tmp_path, SECRETS))
    shown = [
        repr(configuration),
        str(configuration.settings),
        json.dumps(configuration.settings.model_dump(), default=str),
    ]
    shown += [str(effective(configuration)), str(differences(configuration))]
    assert all(WORD not in text and "***" in text for text in shown)
    assert configuration.settings.store.server == f"http://u:{WORD}@h:8123"


def test_faults_never_quote_secrets(tmp_path: Path) -> None:
    """Faults at and around secrets do not repeat them."""
    text = (
        SECRETS.replace("8123", "port").replace(f"token: x{WORD}", f"token: [{WORD}]") + f"ingests: {{token: {WORD}}}\n"
    )
    with pytest.raises(ConfigFaults) as raised:
        load(written(tmp_path, text), {"TOKENTIDE_INGEST__TOKEN": f"{WORD} with spaces"})
    assert len(raised.value.faults) == 4
    assert WORD not in str(raised.value)


def test_password_beside_the_address() -> None:
    """`clickhouse_password` completes an address without one, escaped, and does not replace one that is there."""
    assert ServerUrl("https://me@h:8443").reveal(Secret("p@ss/w")) == "https://me:p%40ss%2Fw@h:8443"
    assert ServerUrl("http://h").reveal(Secret("p")) == "http://default:p@h"
    assert ServerUrl("http://me:own@h").reveal(Secret("p")) == "http://me:own@h"


def test_prices_stay_exact(tmp_path: Path) -> None:
    """A price in the file is the decimal written there, not the nearest binary fraction."""
    file = written(tmp_path, "prices: {overrides: [{models: m, per_million: {input: 0.1, output: 3}}]}\n")
    assert load(file).settings.prices.overrides == (
        {"models": "m", "per_million": {"input": Decimal("0.1"), "output": 3}},
    )


def test_show_names_every_leaf_and_diff_only_changes(tmp_path: Path) -> None:
    """`show` has one row per leaf of the tree; `diff` has those with another value, with default and source."""
    configuration = load(written(tmp_path, "log: {level: debug, format: auto}\nspool: {max_bytes: 1 GiB}\n"))
    plain = [".".join(map(str, path)) for path, _ in leaves() if not any("[]" in str(part) for part in path)]
    assert [setting.path for setting in effective(configuration)] == plain
    changed = {setting.path: (setting.value, setting.default) for setting in differences(configuration)}
    assert changed == {"spool.max_bytes": ("1 GiB", "2 GiB"), "log.level": ("debug", "info")}


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was loaded."""
    with pytest.raises(ValidationError):
        Settings().log.level = "debug"


@given(st.integers(min_value=1, max_value=2**60))
def test_sizes_round_trip(count: int) -> None:
    """A size printed for people reads back as the same number of bytes."""
    assert size(size_text(count)) == count


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_yaml_loads_or_faults(value: Any) -> None:
    """Whatever a file holds, loading ends in settings or in faults, never in another exception."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(json.dumps({"ingest": value, "store": {"data_dir": value}, "processors": value}))
        file.flush()
        try:
            assert isinstance(load(Path(file.name)), Configuration)
        except ConfigFaults as found:
            assert found.faults


def test_tls_files_go_together() -> None:
    """A certificate needs its key and the other way round; a client authority counts as asking who sends."""
    grpc = "TOKENTIDE_INGEST__GRPC__"
    assert "ingest.grpc.tls.key" in faults(None, {f"{grpc}TLS__CERTIFICATE": "c"})
    assert "ingest.grpc.tls.certificate" in faults(None, {f"{grpc}TLS__KEY": "k"})
    assert "ingest.grpc.tls.certificate" in faults(None, {f"{grpc}TLS__CLIENT_AUTHORITY": "a"})
    pair = {f"{grpc}HOST": "0.0.0.0", f"{grpc}TLS__CERTIFICATE": "c", f"{grpc}TLS__KEY": "k"}
    assert "ingest.grpc.host" in faults(None, pair)
    mutual = load(None, {**pair, f"{grpc}TLS__CLIENT_AUTHORITY": "a"}).settings.ingest.grpc
    assert mutual.tls.client_authority == Path("a")
