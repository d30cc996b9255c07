"""`tests.crash.child` as a `Service` of the harness: requests and answers are lines on its pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from otel_exporter.failpoints import VARIABLE
from tests.crash.harness import Request, Stored

ROOT = Path(__file__).parents[2]
CHILD = [sys.executable, "-m", "tests.crash.child"]


class ChildService:
    """Children over one directory."""

    def __init__(self, directory: Path, *, slow_view: bool = False) -> None:
        self._directory = directory
        self._options = ["--slow"] if slow_view else []

    def start(self, failpoint: str = "") -> ChildLife:
        """A new child, ready or (when the failpoint is on its way there) dead."""
        return ChildLife([*CHILD, str(self._directory), *self._options], failpoint)

    def inspect(self) -> Stored:
        """What the store holds."""
        answer = subprocess.run(
            [*CHILD, str(self._directory), "--inspect"], cwd=ROOT, check=True, capture_output=True, timeout=60
        )
        content = json.loads(answer.stdout.splitlines()[-1])
        content["ledger"] = {call: (signs, ids) for call, (signs, ids) in content["ledger"].items()}
        return Stored(**content)


class ChildLife:
    """One child process."""

    def __init__(self, command: list[str], failpoint: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, VARIABLE: failpoint},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.torn = int((self._answer("ready") or "ready 0").split()[1])

    def send(self, request: Request) -> bool:
        """One request, one answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(request)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return self._answer("ack", "retry") == "ack"

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, then wait until the kernel has let go of its locks."""
        self._process.kill()
        self._process.wait()

    def drain(self) -> None:
        """Store everything and end."""
        assert self._process.stdin is not None
        self._process.stdin.write("drain\n")
        self._process.stdin.close()
        assert self._answer("drained", "not drained") == "drained"
        assert self._process.wait(60) == 0
        self._close()

    def _answer(self, *beginnings: str) -> str:
        """The next answer; '' when the process died. Log lines in between are passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(beginnings):
                return line.strip()
        self._process.wait()
        self._close()
        return ""

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
