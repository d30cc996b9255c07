"""Prices of a gateway's own models, kept beside the data: used only where neither table nor configuration has one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from otel_exporter import durable

_FILE: Final = "imports/prices.json"
#: As in section ``prices``, key ``litellm``.
_FIELD: Final = re.compile(r"^(input|output|cache_read|cache_creation)_[a-z0-9_]*cost[a-z0-9_]*$")
_PATTERN: Final = re.compile(r"[*?\[\]]")


def keep(data_dir: Path, prices: Mapping[str, Mapping[str, str]]) -> None:
    """Remember prices (``provider/model`` -> field of LiteLLM's table -> dollars) in the place of those known."""
    file = data_dir / _FILE
    known = {**_read(file), **{model: _fields(said) for model, said in prices.items() if _fields(said)}}
    if known and known != _read(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with durable.new_file(file) as out:
            out.write(json.dumps(known, indent=1, sort_keys=True).encode())


def stamp(data_dir: Path) -> object:
    """Which file the kept prices are in, how long it is, and of when; None: there are none."""
    try:
        status = (data_dir / _FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def overrides(data_dir: Path, priced: Iterable[str]) -> list[dict[str, Any]]:
    """Prices as the configuration would write them, named ``imported:<model>``; of models not in ``priced`` only.

    Args:
        data_dir: where they were kept.
        priced: models the price table has, by any of their names: the table wins.
    """
    return list(_overrides(_read(data_dir / _FILE), set(priced)))


def _overrides(known: Mapping[str, Mapping[str, str]], priced: set[str]) -> Iterator[dict[str, Any]]:
    for model, prices in known.items():
        bare = model.partition("/")[2] or model
        if not _PATTERN.search(model) and not {model, bare} & priced:
            yield {"name": f"imported:{model}", "models": [model, bare], "litellm": dict(prices)}


def _fields(said: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in said.items() if _FIELD.match(name)}


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        known: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known
