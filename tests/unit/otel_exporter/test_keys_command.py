"""`tokentide keys`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from otel_exporter.cli.entry import app
from otel_exporter.failures import Refused
from otel_exporter.identity import Keyring, Scope


def keys(data_dir: Path, *arguments: str) -> str:
    """What a command prints; raises what it raises."""
    ran = CliRunner().invoke(app, ["keys", *arguments, "--data-dir", str(data_dir)], standalone_mode=False)
    if ran.exception is not None:
        raise ran.exception
    return ran.stdout


def made(data_dir: Path, *arguments: str) -> dict[str, Any]:
    """A new key."""
    (key,) = json.loads(keys(data_dir, *arguments, "--format", "json"))
    return dict(key)


def test_create_list_revoke(tmp_path: Path) -> None:
    """A key is printed once, works, is listed without its secret, and stops working when revoked."""
    key = made(tmp_path, "create", "--tenant", "acme", "--scope", "ingest", "--scope", "query", "--expires", "90d")
    assert key["scopes"] == "ingest,query" and key["tenant"] == "acme" and key["expires_at"]
    ring = Keyring(tmp_path / "keys.json")
    assert ring.known(key["key"], Scope.INGEST) and ring.known(key["key"], Scope.QUERY)
    listed = keys(tmp_path, "list", "--format", "json")
    assert json.loads(listed)[0]["state"] == "live" and key["key"].rpartition("_")[2] not in listed
    assert "revoked" in keys(tmp_path, "revoke", key["id"])
    assert json.loads(keys(tmp_path, "list", "--format", "json"))[0]["state"] == "revoked"
    assert Keyring(tmp_path / "keys.json").known(key["key"], Scope.INGEST) is None


def test_a_person_is_told_how_to_use_it(tmp_path: Path) -> None:
    """The table form names the variable an OpenTelemetry SDK reads, with the key in it as headers are written."""
    told = keys(tmp_path, "create", "--tenant", "acme")
    assert "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20tt_" in told


def test_rotation_leaves_time(tmp_path: Path) -> None:
    """After rotate both keys work, and the old one has an end; a revoked one cannot be rotated."""
    old = made(tmp_path, "create", "--tenant", "acme")
    new = made(tmp_path, "rotate", old["id"], "--grace", "1h")
    ring = Keyring(tmp_path / "keys.json")
    assert ring.known(old["key"], Scope.INGEST) and ring.known(new["key"], Scope.INGEST)
    ends = {row["id"]: row["expires_at"] for row in json.loads(keys(tmp_path, "list", "--format", "json"))}
    assert ends[old["id"]] and not ends[new["id"]]
    keys(tmp_path, "revoke", old["id"])
    with pytest.raises(Refused, match="is revoked"):
        keys(tmp_path, "rotate", old["id"])


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    """An unknown id, a tenant or time that is none, a second tenant that reads, policies without a server."""
    with pytest.raises(Refused, match="there is no key nope"):
        keys(tmp_path, "revoke", "nope")
    for wrong in (("--tenant", "a/b"), ("--expires", "soon"), ("--expires", "99999999999w"), ("--expires", "9999999w")):
        with pytest.raises(Exception, match="is no t"):
            keys(tmp_path, "create", *wrong)
    made(tmp_path, "create", "--tenant", "a", "--scope", "query")
    with pytest.raises(Refused, match="used by a"):
        keys(tmp_path, "create", "--tenant", "b", "--scope", "query")
    with pytest.raises(Refused, match="no row policies"):
        keys(tmp_path, "policies", "--tenant", "a")
