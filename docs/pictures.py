"""Pictures of the dashboards: ``python docs/pictures.py http://127.0.0.1:29464`` beside a running `make demo`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.e2e.browser import browser

PICTURES = {"spend": "light", "traffic": "light", "sessions": "dark", "forecast": "dark"}


def main(url: str) -> None:
    """One PNG a dashboard into docs/images."""
    directory = Path(__file__).with_name("images")
    directory.mkdir(exist_ok=True)
    for name, theme in PICTURES.items():
        with browser(url, theme=theme) as page:
            page.open(f"/d/tokentide-{name}")
            page.picture(directory / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1])
