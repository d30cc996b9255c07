"""History, forecast and interval as a picture: PNG, a page of HTML, or characters for a terminal."""

from __future__ import annotations

import html
import io
import textwrap
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from forecasting.arrays import Floats

_BAND: Final = "░"
_KNOWN: Final = "█"
_FORESEEN: Final = "▒"
_MARGIN: Final = 12


@dataclass(frozen=True)
class View:
    """What a picture shows.

    Attributes:
        title: which series, in words.
        caption: the model, its measured error, and what else a reader has to know.
        unit: of the values.
        past, known: moments and values of the history.
        future, middle, low, high: moments of the forecast, its middle and its 80 % interval.
    """

    title: str
    caption: str
    unit: str
    past: list[datetime]
    known: Floats
    future: list[datetime]
    middle: Floats
    low: Floats
    high: Floats


def png(view: View, path: Path) -> None:
    """Draw to a PNG file."""
    path.write_bytes(_drawn(view, "png"))


def page(view: View, path: Path) -> None:
    """Write one HTML file that needs nothing else: the picture as SVG, and the numbers below it."""
    svg = _drawn(view, "svg").decode()
    rows = "".join(
        f"<tr><td>{moment:%Y-%m-%d %H:%M}</td>{''.join(f'<td>{value:,.4g}</td>' for value in values)}</tr>"
        for moment, *values in zip(view.future, view.middle, view.low, view.high, strict=True)
    )
    title = html.escape(view.title)
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:15px system-ui;max-width:70em;margin:2em auto}svg{width:100%;height:auto}"
        "td,th{text-align:right;padding:.1em .8em}</style>"
        f"<h1>{title}</h1><p>{html.escape(view.caption)}</p>{svg[svg.index('<svg') :]}"
        f"<table><tr><th>UTC</th><th>{html.escape(view.unit)}</th><th>10 %</th><th>90 %</th></tr>{rows}</table>",
        encoding="utf-8",
    )


def _drawn(view: View, form: str) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.add_subplot()
    # matplotlib takes a pair of dollar signs for a formula
    axes.set_title(view.title.replace("$", r"\$"), loc="left")
    axes.set_xlabel(textwrap.fill(view.caption, 150).replace("$", r"\$"), loc="left", fontsize="small", ha="left")
    axes.set_ylabel(view.unit)
    axes.plot(np.array(view.past), view.known, color="#333333", linewidth=1.2, label="happened")
    axes.plot(np.array(view.future), view.middle, color="#1f6fb4", linewidth=1.5, label="forecast")
    axes.fill_between(
        np.array(view.future), view.low, view.high, color="#1f6fb4", alpha=0.2, linewidth=0, label="80 % interval"
    )
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    written = io.BytesIO()
    figure.savefig(written, format=form, dpi=120)
    return written.getvalue()


def text(view: View, width: int, height: int = 14) -> str:
    """The same in characters, ``width`` columns wide: history full, forecast shaded, the interval's reach light."""
    steps = len(view.known) + len(view.middle)
    columns = min(max(width - _MARGIN, 10), steps)
    border = min(max(round(len(view.known) / steps * columns), 1), columns - 1)
    values = [*_columns(view.known, border), *_columns(view.middle, columns - border)]
    highs = [*[float("nan")] * border, *_columns(view.high, columns - border)]
    top = float(np.nanmax([*values, *highs, 1e-9]))
    lines = []
    for row in range(height, 0, -1):
        level = (row - 0.5) / height * top
        cells = (
            _cell(value, high, level, foreseen=place >= border)
            for place, (value, high) in enumerate(zip(values, highs, strict=True))
        )
        label = f"{row / height * top:,.4g}" if row in (height, height // 2) else ""
        lines.append(f"{label:>{_MARGIN - 2}} │{''.join(cells)}".rstrip())
    lines.append(f"{0:>{_MARGIN - 2}} └{'─' * columns}")
    begin, now, end = (f"{moment:%Y-%m-%d}" for moment in (view.past[0], view.future[0], view.future[-1]))
    middle = max(border - len(begin), 1)
    lines.append(" " * _MARGIN + begin + now.rjust(middle + len(now)) + end.rjust(columns - border - len(now)))
    lines.append(f"{view.title} ({view.unit}): {_KNOWN} happened  {_FORESEEN} forecast  {_BAND} 80 % interval")
    return "\n".join([*lines, view.caption]) + "\n"


def _cell(value: float, high: float, level: float, *, foreseen: bool) -> str:
    if value >= level:
        return _FORESEEN if foreseen else _KNOWN
    return _BAND if high >= level else " "


def _columns(values: Floats, columns: int) -> list[float]:
    """The mean of the values that fall into each column; NaN where none is known."""
    parts = np.array_split(values, columns)
    return [float(np.nanmean(part)) if np.isfinite(part).any() else float("nan") for part in parts]
