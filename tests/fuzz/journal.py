"""What a fuzzing process is working on, where its parent can read it even after a crash: a file in memory."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_HEAD = struct.Struct("<QQ")  # inputs begun so far, bytes of the batch written
_ROOM = 64 << 20


class Journal:
    """The inputs of the batch under way. Written by one process, read by another."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            with path.open("wb") as file:
                file.truncate(_ROOM)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _ROOM)
        self._begun, self._size = _HEAD.unpack_from(self._memory)

    def batch(self) -> None:
        """Forget what came before."""
        self._size = 0

    def begin(self, item: bytes) -> None:
        """This input is next."""
        item = item[: _ROOM // 2]
        start = _HEAD.size + self._size
        if start + len(item) + 4 > _ROOM:
            self._size, start = 0, _HEAD.size
        self._memory[start : start + 4] = len(item).to_bytes(4, "little")
        self._memory[start + 4 : start + 4 + len(item)] = item
        self._begun, self._size = self._begun + 1, start + 4 + len(item) - _HEAD.size
        _HEAD.pack_into(self._memory, 0, self._begun, self._size)

    @property
    def begun(self) -> int:
        """How many inputs were begun."""
        begun: int = _HEAD.unpack_from(self._memory)[0]
        return begun

    def under_way(self) -> list[bytes]:
        """The inputs of the batch, the last of them begun last."""
        place, items = _HEAD.size, []
        end = place + _HEAD.unpack_from(self._memory)[1]
        while place < end:
            size = int.from_bytes(self._memory[place : place + 4], "little")
            items.append(self._memory[place + 4 : place + 4 + size])
            place += 4 + size
        return items

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
