"""`make corpus`, as an outsider runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_every_case_is_what_happened() -> None:
    """Through decode, spool, post and ClickHouse, every case's calls, tokens, attribution and charge are the truth."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.corpus.table"], capture_output=True, text=True, timeout=400, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "142/142 cases equal what happened = 100.0 %" in ran.stdout
