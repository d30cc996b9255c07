"""Headless Chromium on the preview of a running `serve`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

CHROMIUM: Final = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
WIDTH: Final = 1500
_PATIENCE_MS: Final = 120_000
_PANELS: Final = """boxes => boxes.map(box => ({
    title: box.dataset.panel, rows: Number(box.dataset.rows ?? -1), failed: box.dataset.failed ? box.innerText : "",
    drawn: box.querySelector("svg, table, b, .meter, .js-plotly-plot") !== null}))"""

_BARS: Final = """bars => bars.map(bar => {
    const [inner, outer] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
    return [(inner.left - outer.left) / outer.width, (inner.right - outer.left) / outer.width];
})"""


@dataclass(frozen=True)
class Seen:
    """A panel as it was drawn: its rows (-1: it never got any), what failed, whether there is something to see."""

    title: str
    rows: int
    failed: str
    drawn: bool


class Browser:
    """One page. ``errors`` gathers what the console and the scripts complained about."""

    def __init__(self, page: Any, url: str) -> None:
        self.errors: list[str] = []
        self._page, self._url = page, url
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str) -> list[Seen]:
        """Open a dashboard and wait until every panel has its answer."""
        self._page.goto(self._url + path)
        self._page.wait_for_selector("body[data-done]", timeout=_PATIENCE_MS)
        return [Seen(**said) for said in self._page.eval_on_selector_all(".body", _PANELS)]

    def bars(self, title: str) -> list[tuple[float, float]]:
        """Where each bar of a panel begins and ends, as shares of the width there is for it."""
        measured = self._page.eval_on_selector_all(f"[data-panel='{title}'] .bar i", _BARS)
        return [(begin, end) for begin, end in measured]

    def picture(self, file: Path, height: int = 1100) -> None:
        """The upper part of the page as PNG."""
        self._page.set_viewport_size({"width": WIDTH, "height": height})
        self._page.wait_for_timeout(500)
        self._page.screenshot(path=file)


@contextmanager
def browser(url: str, theme: str = "light") -> Iterator[Browser]:
    """A page on ``url``.

    Raises:
        pytest.skip.Exception: there is no Chromium here.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = running.new_page(viewport={"width": WIDTH, "height": 1100}, color_scheme=theme)  # type: ignore[arg-type]
            yield Browser(page, url)
        finally:
            running.close()
