"""The `tokentide` command as it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import tokentide

pytestmark = pytest.mark.e2e
WRONG = """\
ingest:
  grpc:
    port: 70000
  tokn: s3cret-value
content:
  policy: share
"""


def test_config_check_reports_three_mistakes(tmp_path: Path) -> None:
    """Three mistakes in a file are three lines with path, place and reason on standard error, exit 2."""
    (tmp_path / "t.yaml").write_text(WRONG)
    ran = tokentide("config", "check", "t.yaml", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        "content.policy (t.yaml:6): must be 'drop', 'redact', 'hash' or 'keep', not 'share'",
        "ingest.grpc.port (t.yaml:3): must be at most 65535, not 70000",
        "ingest.tokn (t.yaml:4): unknown key; did you mean token?",
    ]


def test_config_check_of_a_right_file(tmp_path: Path) -> None:
    """A file that is right is called valid, exit 0."""
    (tmp_path / "t.yaml").write_text("content:\n  policy: redact\n")
    assert tokentide("config", "check", "t.yaml", cwd=tmp_path).returncode == 0
