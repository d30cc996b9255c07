"""`tokentide keys`: API keys of tenants, and the roles of a ClickHouse server."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.failures import Reason, Refused
from otel_exporter.identity.keys import Key, Scope
from otel_exporter.render import Format, Table, render

if TYPE_CHECKING:
    from otel_exporter.config import Settings

app = typer.Typer(name="keys", help="API keys: who may send for a tenant, and who may read it.", no_args_is_help=True)
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPAN: Final = re.compile(r"(\d+)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST: Final = timedelta(days=36_500)
Id = Annotated[str, typer.Argument(metavar="ID", help="Which key: the id that list shows.")]
Expires = Annotated[
    str | None, typer.Option(metavar="TIME", help="How long it is good, such as 12h or 90d.  [default: for ever]")
]


@app.command()
def create(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    tenant: Annotated[str | None, typer.Option(help="Whose data.  [default: ingest.tenant]")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it is good for; may be given again.  [default: ingest]")
    ] = None,
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    expires: Expires = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Make a key and print it, once.

    A running serve knows it within seconds. As soon as there is a key, nobody sends or reads without one.
    """
    from otel_exporter.identity import keyfile
    from otel_exporter.identity.keys import minted

    settings = settings_for(config, data_dir, clickhouse_url)
    whose, scopes = _tenant(tenant or settings.ingest.tenant), frozenset(scope or [Scope.INGEST])
    key, text = minted(whose, scopes, _now(), _end(expires), name)

    def with_it(keys: tuple[Key, ...]) -> list[Key]:
        _check(settings, key, keys)
        return [*keys, key]

    keyfile.change(settings.key_file, with_it)
    _hand_over(key, text, form)


@app.command("list")
def list_(config: ConfigFile = None, data_dir: DataDir = None, form: OutputFormat = Format.TABLE) -> None:
    """List every key, the revoked ones too, without its secret."""
    from otel_exporter.identity import keyfile

    keys = keyfile.read(settings_for(config, data_dir, None).key_file) or ()
    columns = ("id", "tenant", "scopes", "name", "state", "created_at", "expires_at", "revoked_at")
    rows: list[list[Any]] = [
        [key.id, key.tenant, _scopes(key), key.name, key.state(_now()), key.created_at, key.expires_at, key.revoked_at]
        for key in keys
    ]
    render(Table(columns, rows), form)


@app.command()
def revoke(identity: Id, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Take a key back: a running serve refuses it within seconds."""
    _change(settings_for(config, data_dir, None), identity, lambda key: [replace(key, revoked_at=_now())])
    typer.echo(f"{identity} is revoked")


@app.command()
def rotate(
    identity: Id,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    grace: Annotated[str, typer.Option(metavar="TIME", help="How long the old one is still good.")] = "24h",
    expires: Expires = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Make a key like this one, and let this one end after a while."""
    from otel_exporter.identity.keys import minted

    handed: list[tuple[Key, str]] = []
    now = _now()
    until = now + _span(grace)

    def successor(old: Key) -> list[Key]:
        if not old.is_live(now):
            raise Refused(Reason.FORBIDDEN, f"{old.id} is {old.state(now)}: create a key instead")
        handed.append(minted(old.tenant, old.scopes, now, _end(expires), old.name))
        return [old.ending(until), handed[0][0]]

    _change(settings_for(config, data_dir, None), identity, successor)
    _hand_over(*handed[0], form)


@app.command()
def policies(
    tenant: Annotated[list[str], typer.Option(help="Whose role to make; may be given again.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    owner: Annotated[str, typer.Option(help="The ClickHouse user of serve, who sees everything.")] = "default",
    apply: Annotated[bool, typer.Option("--apply", help="Run it on the server, as the user of its address.")] = False,
) -> None:
    """Print the SQL that lets a role of a ClickHouse server read one tenant and nothing else."""
    from otel_exporter.asking import opened
    from otel_exporter.identity import policies as rows

    settings = settings_for(config, data_dir, clickhouse_url)
    if settings.store.server is None:
        raise Refused(
            Reason.STORE, "the embedded database has no row policies: give each tenant a data directory of its own"
        )
    with opened(settings) as store:
        for sql in [sql for whose in tenant for sql in rows.statements(store, _tenant(whose), owner)]:
            typer.echo(f"{sql};")
            if apply:
                store.command(sql)


def _change(settings: Settings, identity: str, edit: Any) -> None:
    from otel_exporter.identity import keyfile

    def edited(keys: tuple[Key, ...]) -> list[Key]:
        if identity not in {key.id for key in keys}:
            raise Refused(Reason.MALFORMED, f"there is no key {identity}: tokentide keys list shows which there are")
        return [one for key in keys for one in (edit(key) if key.id == identity else [key])]

    keyfile.change(settings.key_file, edited)


def _check(settings: Settings, key: Key, keys: tuple[Key, ...]) -> None:
    """A directory of the embedded database is one tenant's as soon as somebody may read it by a key."""
    from otel_exporter.identity import directory

    if settings.store.server is None:
        live = [one for one in keys if one.is_live(_now())]
        written = directory.written(settings.store.data_dir) or frozenset()
        directory.check_key(key.tenant, key.scopes, live, written)


def _hand_over(key: Key, text: str, form: Format) -> None:
    if form is not Format.TABLE:
        names = ("id", "key", "tenant", "scopes", "expires_at")
        render(Table(names, [[key.id, text, key.tenant, _scopes(key), key.expires_at]]), form)
        return
    typer.echo(f"key     {text}\nid      {key.id}\ntenant  {key.tenant}\nscopes  {_scopes(key)}\n")
    typer.echo("It is not shown again. To use it:")
    for scope in sorted(key.scopes):
        typer.echo(f"  {_USES[scope].format(key=text)}")


_USES: Final = {
    Scope.INGEST: "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{key}",
    Scope.METRICS: "curl -H 'Authorization: Bearer {key}' http://127.0.0.1:9464/metrics",
    Scope.QUERY: "curl -H 'X-ClickHouse-Key: {key}' http://127.0.0.1:8123 -d 'SELECT count() FROM genai_calls'",
}


def _scopes(key: Key) -> str:
    return ",".join(sorted(key.scopes))


def _tenant(name: str) -> str:
    if not _TENANT.fullmatch(name):
        raise typer.BadParameter(f"{name!r} is no tenant: letters, digits, '.', '_' and '-', at most 64")
    return name


def _end(text: str | None) -> datetime | None:
    return _now() + _span(text) if text else None


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if found is None or len(found[1]) > 10 or int(found[1]) * _SECONDS[found[2]] > _LONGEST.total_seconds():
        raise typer.BadParameter(f"{text!r} is no time: write 45m, 12h, 90d or 52w")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
