"""Where the tables of `processors.enrich` come from: the configuration, CSV files, whatever else is a `Source`.

Earlier sources win over later ones. A source says when it has something new (`stamp`), and `Attribution.refresh` reads
all of them again when one does; a table that cannot be read leaves the tables as they were.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_exporter.failures import Reason, Refused
from processors.enrich import LABEL, MATCHED, NAMES, OWN, Enrichment, Rule

if TYPE_CHECKING:
    import polars as pl

    from otel_exporter.config.enrichment import EnrichmentSettings

_SETTABLE: Final = (*NAMES, *OWN)
_SET: Final = "set."
_OVERRIDE: Final = "override"
_YES: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}


class Source(Protocol):
    """Rules from somewhere."""

    def stamp(self) -> object:
        """What differs when the rules may differ; cheap, never raises."""

    def rules(self) -> Sequence[Rule]:
        """The rules as they are now. Raises Refused with a sentence."""


class Attribution:
    """Attributes calls by the tables of the moment; a call sees the old ones or the new ones, never a mixture."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Read the sources, the winning ones first.

        Raises:
            Refused: one cannot be read; says which and why.
        """
        self.replace(sources)

    def __call__(self, calls: pl.DataFrame) -> pl.DataFrame:
        """Calls with what the tables say of them (`processors.enrich`)."""
        return self._enrichment(calls)

    def __len__(self) -> int:
        """How many rules there are."""
        return self._count

    def replace(self, sources: Sequence[Source]) -> None:
        """Use these sources from now on. Raises Refused; then nothing has changed."""
        stamps = [source.stamp() for source in sources]
        rules = [rule for source in sources for rule in source.rules()]
        self._enrichment, self._count = Enrichment(rules), len(rules)
        self._sources, self._stamps = tuple(sources), stamps

    def refresh(self) -> bool:
        """Read the sources again if one of them has something new, and say whether that was so. Raises Refused."""
        stamps = [source.stamp() for source in self._sources]
        if stamps == self._stamps:
            return False
        self._stamps = stamps  # what cannot be read is not tried again before it changes
        self.replace(self._sources)
        return True


def sources(settings: EnrichmentSettings) -> list[Source]:
    """Rules of the configuration, then its files. A third kind of table is appended by `assembly`."""
    own = [Rule(_matched(rule.match), _told(rule.set), rule.override) for rule in settings.rules]
    return [Written(own), *map(CsvFile, settings.files)]


class Written:
    """Rules that are known already: those of the configuration."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def stamp(self) -> object:
        """Nothing new ever: a new configuration is a new source."""
        return None

    def rules(self) -> Sequence[Rule]:
        """The rules."""
        return self._rules


class CsvFile:
    """Rules of a CSV file with a header, a line each.

    Columns named as columns of a call are matched (an empty cell matches everything); ``set.<column>``,
    ``cost_center``, ``owner`` and ``labels.<key>`` are set (an empty cell sets nothing); ``override`` is true or false.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def stamp(self) -> object:
        """Which file it is, how long, and of when."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def rules(self) -> Sequence[Rule]:
        """The rules of all lines."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                return list(self._read(csv.reader(file, strict=True)))
        except OSError as error:
            raise self._fault(None, f"cannot be read: {error.strerror}") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._fault(None, "is not CSV in UTF-8") from error

    def _read(self, lines: Any) -> Iterator[Rule]:
        header = [name.strip() for name in next(lines, [])]
        self._check(header)
        for cells in lines:
            if any(cells):
                if len(cells) != len(header):
                    raise self._fault(lines.line_num, f"has {len(cells)} cells, the header {len(header)}")
                yield self._rule(lines.line_num, dict(zip(header, map(str.strip, cells), strict=True)))

    def _check(self, header: Sequence[str]) -> None:
        if unknown := [name for name in header if not (name in MATCHED or name == _OVERRIDE or _sets(name))]:
            raise self._fault(1, f"has a column nobody knows: {', '.join(unknown) or 'without a name'}")
        if len(set(header)) < len(header):
            raise self._fault(1, "has the same column twice")
        if not any(map(_sets, header)):
            raise self._fault(1, f"sets nothing: add {_SET}team, cost_center, owner or labels.<key>")

    def _rule(self, line: int, cells: Mapping[str, str]) -> Rule:
        override = _YES.get(cells.get(_OVERRIDE, "").lower())
        if override is None:
            raise self._fault(line, "override must be true or false")
        told = {name.removeprefix(_SET): text for name, text in cells.items() if text and _sets(name)}
        return Rule({name: (text,) for name, text in cells.items() if text and name in MATCHED}, told, override)

    def _fault(self, line: int | None, sentence: str) -> Refused:
        where = f"{self._path}:{line}" if line else str(self._path)
        return Refused(Reason.STORE, f"enrichment table {where} {sentence}")


def _sets(name: str) -> bool:
    return name in OWN or _is_label(name) or (name.startswith(_SET) and name.removeprefix(_SET) in _SETTABLE)


def _is_label(name: str) -> bool:
    return name.removeprefix(_SET).startswith(LABEL) and len(name.removeprefix(_SET)) > len(LABEL)


def faults(match: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a rule of the configuration: path and reason."""
    for name, texts in match.items():
        if name not in MATCHED:
            yield ("match", name), f"is no column to match: one of {', '.join(MATCHED)}"
        elif not (_is_text(texts) or (isinstance(texts, list) and texts and all(map(_is_text, texts)))):
            yield ("match", name), "must be text or a list of texts (a number needs quotes)"
    for name, value in told.items():
        if name == "labels":
            if not isinstance(value, Mapping) or not all(map(_is_text, value.values())):
                yield ("set", name), "must be a mapping of texts (a number needs quotes)"
        elif name not in _SETTABLE:
            yield ("set", name), f"is no column to set: one of {', '.join(_SETTABLE)}, labels"
        elif not _is_text(value):
            yield ("set", name), "must be text (a number needs quotes)"
    if not told:
        yield ("set",), "is required"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _matched(match: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: (texts,) if isinstance(texts, str) else tuple(texts) for name, texts in match.items()}


def _told(told: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in told.items():
        flat |= {name: value} if isinstance(value, str) else {f"{LABEL}{key}": text for key, text in value.items()}
    return flat
