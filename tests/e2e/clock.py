"""A clock on the wall that can be moved, for one process and its children.

A small library, loaded before all others, adds what a file says to the time of day; the clocks that count what has
passed stay as they are. That is what happens to a process when somebody sets the machine's clock. An embedded
ClickHouse asks the kernel itself, so its clock does not move with ours: its `now()` is an hour apart from ours then.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_SOURCE: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static long moved(void) {
    static volatile long *told = 0;
    if (!told) {
        int file = open(getenv("TEST_CLOCK"), O_RDONLY);
        told = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    }
    return *told;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *) = 0;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += moved();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""


class Clock:
    """The clock of processes that are started with its `variables`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler: apt-get install gcc libc6-dev")
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(_SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self._file = folder / "clock"
        self.set(0)
        self.variables = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """So far ahead of the real one."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
