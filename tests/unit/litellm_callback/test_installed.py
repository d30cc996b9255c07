"""The callback as users install it: a module of the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.house import outside

ROOT = Path(__file__).parents[3]


def test_the_wheel_has_the_module(tmp_path: Path) -> None:
    """What `pip install tokentide` unpacks has `tokentide_callback` at its top, byte for byte the file for copying, and
    LiteLLM resolves `tokentide_callback.handler` from there without a file beside its configuration.
    """
    if shutil.which("uv") is None:
        pytest.skip("no uv to build a wheel: https://docs.astral.sh/uv/getting-started/installation (pip install uv)")
    built = subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("tokentide-*.whl")
    installed = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    original = ROOT / "deploy" / "litellm" / "tokentide_callback.py"
    assert (installed / original.name).read_bytes() == original.read_bytes()
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "from litellm.proxy.types_utils.utils import get_instance_fn\n"
        f"found = get_instance_fn('tokentide_callback.handler', {str(tmp_path / 'config.yaml')!r})\n"
        "print(type(found).__name__, sys.modules['tokentide_callback'].__file__)"
    )
    local = outside(LITELLM_LOCAL_MODEL_COST_MAP="True")
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, env=local
    )
    assert ran.stdout.split() == ["TokentideCallback", str(installed / original.name)], ran.stderr
