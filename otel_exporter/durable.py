"""Files and directories that are whole after a crash or a power cut, or not there at all.

The recipe is always the same: write under a temporary name, fsync, rename, fsync the parent. What a crash leaves under
a temporary name was never promised to anybody; `sweep` removes it at the next start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

TEMPORARY: Final = ".tmp-"


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(file: BinaryIO) -> None:
    """Make what was written to ``file`` durable. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def synced_file(path: Path) -> Iterator[BinaryIO]:
    """A file whose *content* is durable when the block ends; its name is only when the directory is synced."""
    with path.open("w+b") as file:
        yield file
        sync(file)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears whole and durable when the block ends (replacing one of that name), or not at all.

    Two fsyncs. After any error, of the block or of the disk, nothing of it is left.
    """
    hidden = path.with_name(TEMPORARY + path.name)
    try:
        with synced_file(hidden) as file:
            yield file
        _publish(hidden, path)
    except BaseException:
        _discard(hidden)
        raise


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory that appears whole and durable when the block ends, or not at all.

    The block gets the path to write into, and syncs the files it writes (`synced_file`).
    """
    hidden = path.with_name(TEMPORARY + path.name)
    try:
        hidden.mkdir()
        yield hidden
        sync_directory(hidden)
        _publish(hidden, path)
    except BaseException:
        _discard(hidden)
        raise


def write_file(path: Path, content: bytes) -> None:
    """Write (or replace) a small file durably."""
    with new_file(path) as file:
        file.write(content)


def rename(path: Path, target: Path) -> None:
    """Rename durably; both directories are synced."""
    path.rename(target)
    sync_directory(target.parent)
    if path.parent != target.parent:
        sync_directory(path.parent)


def remove_directory(path: Path) -> None:
    """Remove a directory so that a crash on the way leaves it whole or to `sweep`. Harmless when it is gone."""
    if path.exists():
        hidden = path.with_name(TEMPORARY + path.name)
        path.rename(hidden)
        _discard(hidden)


def sweep(directory: Path) -> int:
    """Remove what a crash left under temporary names; returns how many there were."""
    left = [path for path in directory.iterdir() if path.name.startswith(TEMPORARY)]
    for path in left:
        _discard(path)
    return len(left)


def _publish(hidden: Path, path: Path) -> None:
    hidden.rename(path)
    try:
        sync_directory(path.parent)
    except OSError:
        path.rename(hidden)
        raise


def _discard(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
